"""A user's own templates: held against ours before anything is measured, and blamed by line."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import UndefinedError

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.paths import data_folder
from vision_evals.report.environment import environment

_Reference = nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport


def check(templates: Path) -> tuple[str, ...]:
    """Hold a folder of a user's own templates against ours.

    Args:
        templates: the folder. Files of the names of ours go before ours, with all that they
            include.

    Returns:
        What a person should know: files that nothing uses.

    Raises:
        UserError: no such folder, or a template in it that cannot be used, by file and line.
    """
    if not templates.is_dir():
        raise UserError(
            f"--evals-templates {templates}: no such folder; name one that holds partials of "
            f"yours under the names of those in {data_folder('reports')}"
        )
    made = environment(templates)
    ours, own = _names(data_folder("reports")), _names(templates)
    used: set[str] = set()
    waiting = sorted(own & ours)
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += own & set(_references(made, templates, name))
    return tuple(
        f"{templates / name}: overrides no template of ours, and none that does includes it"
        f"{did_you_mean(name, ours)}"
        for name in sorted(own - used)
    )


@contextlib.contextmanager
def blamed(templates: Path | None) -> Iterator[None]:
    """Let what goes wrong while a page is filled with a user's templates be a sentence.

    Whatever it is: ours, filled with ours, do not fail by what stands in the log.

    Raises:
        UserError: by file and line.
    """
    try:
        yield
    except Exception as error:
        if templates is None:
            raise
        raise UserError(_told(error, templates)) from error


def _names(folder: Path) -> set[str]:
    """Return the files of a folder as Jinja names them; what is hidden is no template."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {n.as_posix() for n in found if not any(part.startswith(".") for part in n.parts)}


def _references(made: Environment, templates: Path, name: str) -> Iterator[str]:
    """Yield the templates that one names in so many words; all of them must be there."""
    file = templates / name
    try:
        tree = made.parse(file.read_text(encoding="utf-8"), name, str(file))
        made.get_template(name)  # knows filters and tests as well
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as UTF-8 text: {error}") from None
    except TemplateSyntaxError as error:
        raise UserError(_told(error, templates)) from None
    known = made.list_templates()
    for node in tree.find_all(nodes.Stmt):
        asked = node.template if isinstance(node, _Reference) else None
        if not isinstance(asked, nodes.Const) or not isinstance(asked.value, str):
            continue  # or chosen while the page is filled
        wanted = asked.value
        if wanted not in known and not getattr(node, "ignore_missing", False):
            raise UserError(
                f'{file}:{node.lineno}: there is no template "{wanted}"'
                f"{did_you_mean(wanted, known)}"
            )
        yield wanted


def _told(error: Exception, templates: Path) -> str:
    """Return where a template went wrong, how, and the repair."""
    said = getattr(error, "message", None) or str(error) or type(error).__name__
    if not isinstance(error, TemplateError):
        said = f"{type(error).__name__}: {said}"
    if isinstance(error, UndefinedError):
        said += (
            "; a partial knows `run`, the log, and `page`, the view of it, "
            "and takes macros by {% from ... import ... with context %}"
        )
    if isinstance(error, TemplateSyntaxError):
        original = data_folder("reports") / (error.name or "")
        beside = f"; ours to compare with: {original}" if original.is_file() else ""
        return f"{error.filename}:{error.lineno}: {said}{beside}"
    frames = traceback.extract_tb(error.__traceback__)
    roots = [templates.resolve(), data_folder("reports").resolve()]
    for root in roots:  # the user's own line before one of ours that it led to
        for frame in reversed(frames):
            if Path(frame.filename).resolve().is_relative_to(root):
                return f"{frame.filename}:{frame.lineno}: {said}"
    return f"{templates}: {said}"
