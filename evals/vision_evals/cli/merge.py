"""`evals merge`: what it reads, writes and answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vision_evals import log, report
from vision_evals.core.errors import UserError
from vision_evals.core.run_dirs import new_name, point_latest
from vision_evals.engine.merge import rejudge
from vision_evals.engine.merge.read import RunPart, read_parts
from vision_evals.engine.merge.shards import Merge
from vision_evals.engine.merge.workers import Gathered
from vision_evals.engine.publish import ReportPlaces, publish
from vision_evals.suite.options import Options
from vision_evals.verdict.baseline import baseline
from vision_evals.verdict.noise_file import machine, place, read
from vision_evals.verdict.noise_floor import Noise


def command(
    options: Options,
    places: Sequence[Path],
    out: Path | None,
    typed: str,
    warn: Callable[[str], None],
) -> tuple[Gathered, ReportPlaces]:
    """Join the parts of a run, and return the run and where its report is, if there is one.

    Nothing is written unless they fit together.

    Args:
        options: where runs, reports and noise floors are.
        places: a run directory each.
        out: folder of the new run; None: a new one where runs are kept.
        typed: the command as somebody typed it.
        warn: told of a report that does not look as it should.

    Raises:
        UserError: they do not fit together, or the suites are not what they were.
    """
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: is there and not an empty folder; name a new one")
    said = [] if options.templates is None else list(report.check(options.templates))
    against = baseline.read(options)
    found = read_parts(places)
    noise = _noise(options, found, said)
    first = found[0].log
    folders = (Path.cwd(), options.root)
    suites = {s.path: rejudge.suite(s, folders, first.environment.commit) for s in first.suites}
    directory = out or options.run_dir / new_name()
    run = Merge(found, suites, directory, noise, against).run(typed, said)
    log.write(run, directory)
    if out is None:
        point_latest(directory)
    return Gathered(run, directory), publish(run, directory, options, warn)


def _noise(options: Options, found: Sequence[RunPart], said: list[str]) -> Noise | None:
    """Return the noise floors that the parts were to be judged by, if they are here."""
    names = {part.log.settings.noise for part in found} - {None}
    if not names:
        return None
    here = machine()
    file = place(options.cache, here)
    if names == {file.name}:
        return read(file, here, said.append)
    said.append(f"judged without the noise floors of {', '.join(map(str, sorted(names, key=str)))}")
    return None
