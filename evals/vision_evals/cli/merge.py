"""``evals merge``: the parts of a run, joined and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vision_evals import log, report
from vision_evals.core.errors import UserError
from vision_evals.core.paths import new_name, point_latest
from vision_evals.engine.merge import rejudge
from vision_evals.engine.merge.read import RunPart, read_parts
from vision_evals.engine.merge.shards import Merge
from vision_evals.engine.merge.workers import Gathered
from vision_evals.engine.publish import ReportPlaces, publish
from vision_evals.suite.options import Options
from vision_evals.verdict.baseline import baseline
from vision_evals.verdict.noise_file import machine, noise_path, read
from vision_evals.verdict.noise_floor import Noise


def command(
    options: Options,
    places: Sequence[Path],
    out: Path | None,
    typed: str,
    warn: Callable[[str], None],
) -> tuple[Gathered, ReportPlaces]:
    """Join the parts of a run; return the run and where its report is.

    Nothing is written unless the parts fit together.

    Args:
        options: where runs, reports and noise floors are.
        places: the run directories of the parts.
        out: folder of the new run; None: a new one where runs are kept.
        typed: the command line.
        warn: receives warnings about the report.

    Raises:
        UserError: they do not fit together, or a suite changed since.
    """
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: is there and not an empty folder; name a new one")
    warnings = [] if options.templates is None else list(report.check(options.templates))
    stored_baseline = baseline.read(options)
    run_parts = read_parts(places)
    noise = _noise(options, run_parts, warnings)
    first = run_parts[0].log
    folders = (Path.cwd(), options.root)
    suites = {s.path: rejudge.suite(s, folders, first.environment.commit) for s in first.suites}
    directory = out or options.run_dir / new_name()
    run = Merge(run_parts, suites, directory, noise, stored_baseline).run(typed, warnings)
    log.write(run, directory)
    if out is None:
        point_latest(directory)
    return Gathered(run, directory), publish(run, directory, options, warn)


def _noise(options: Options, run_parts: Sequence[RunPart], warnings: list[str]) -> Noise | None:
    """Return the noise floors of the machine of the parts, if they are here."""
    names = {part.log.settings.noise for part in run_parts} - {None}
    if not names:
        return None
    this_machine = machine()
    file = noise_path(options.cache, this_machine)
    if names == {file.name}:
        return read(file, this_machine, warnings.append)
    warnings.append(
        f"judged without the noise floors of {', '.join(map(str, sorted(names, key=str)))}"
    )
    return None
