"""Where templates are found, what they may use, and the check of a user's own ones."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

import jinja2
from jinja2 import nodes
from jinja2.sandbox import SandboxedEnvironment

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.paths import data_folder
from vision_evals.report import rounding, words
from vision_evals.report.recipes import facts


def environment(templates: Path | None = None) -> jinja2.Environment:
    """Return Jinja's environment for our templates.

    Args:
        templates: folder of a user's own partials: one of the name of ours is taken in its place,
            and can include ours as ``ours/NAME``. With them, all of Jinja runs in its sandbox.
    """
    from vision_evals.report import vega  # Altair takes half a second to import

    our_loader = jinja2.FileSystemLoader(data_folder("reports"))
    user_loaders = [] if templates is None else [jinja2.FileSystemLoader(templates)]
    jinja = (jinja2.Environment if templates is None else SandboxedEnvironment)(
        loader=jinja2.ChoiceLoader(
            [*user_loaders, our_loader, jinja2.PrefixLoader({"ours": our_loader})]
        ),
        autoescape=True,  # everything; select_autoescape() would leave *.jinja out
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "position": _position,
        "seconds": rounding.seconds,
        "count": rounding.count,
        "plural": words.plural,
        "written": rounding.written,
        "recipe": facts,
        "bars": vega.bars,
        "curves": vega.curves,
        "lines": vega.lines,
        "grid": vega.grid,
    }
    jinja.globals |= {"symbols": words.SYMBOLS, "max_list_lines": words.MAX_LIST_LINES}
    return jinja


def _position(share: float) -> str:
    """Return a share of the axis as a length in SVG, inside the axis."""
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


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
    jinja = environment(templates)
    our_files, user_files = _names(data_folder("reports")), _names(templates)
    used: set[str] = set()
    waiting = sorted(user_files & our_files)
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += user_files & set(_references(jinja, templates, name))
    return tuple(
        f"{templates / name}: overrides no built-in template, and no template that does includes it"
        f"{did_you_mean(name, our_files)}"
        for name in sorted(user_files - used)
    )


@contextlib.contextmanager
def template_errors(templates: Path | None) -> Iterator[None]:
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
        raise UserError(_error_message(error, templates)) from error


def _names(folder: Path) -> set[str]:
    """Return the files of a folder as Jinja names them; what is hidden is no template."""
    names = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {n.as_posix() for n in names if not any(part.startswith(".") for part in n.parts)}


def _references(jinja: jinja2.Environment, templates: Path, name: str) -> Iterator[str]:
    """Yield the templates that one names in so many words; all of them must be there."""
    file = templates / name
    try:
        tree = jinja.parse(file.read_text(encoding="utf-8"), name, str(file))
        jinja.get_template(name)  # knows filters and tests as well
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as UTF-8 text: {error}") from None
    except jinja2.TemplateSyntaxError as error:
        raise UserError(_error_message(error, templates)) from None
    templates_known = jinja.list_templates()
    for node in tree.find_all(nodes.Stmt):
        reference = node.template if isinstance(node, _Reference) else None
        if not isinstance(reference, nodes.Const) or not isinstance(reference.value, str):
            continue  # or chosen while the page is filled
        wanted = reference.value
        if wanted not in templates_known and not getattr(node, "ignore_missing", False):
            raise UserError(
                f'{file}:{node.lineno}: there is no template "{wanted}"'
                f"{did_you_mean(wanted, templates_known)}"
            )
        yield wanted


def _error_message(error: Exception, templates: Path) -> str:
    """Return where a template went wrong, how, and the repair."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    if not isinstance(error, jinja2.TemplateError):
        message = f"{type(error).__name__}: {message}"
    if isinstance(error, jinja2.UndefinedError):
        message += (
            "; a partial knows `run`, the log, and `page`, the view of it, "
            "and takes macros by {% from ... import ... with context %}"
        )
    if isinstance(error, jinja2.TemplateSyntaxError):
        original = data_folder("reports") / (error.name or "")
        if original.is_file():
            message += f"; the built-in template to compare with: {original}"
        return f"{error.filename}:{error.lineno}: {message}"
    frames = traceback.extract_tb(error.__traceback__)
    # the user's own line before one of ours that it led to
    for root in (templates.resolve(), data_folder("reports").resolve()):
        for frame in reversed(frames):
            if Path(frame.filename).resolve().is_relative_to(root):
                return f"{frame.filename}:{frame.lineno}: {message}"
    return f"{templates}: {message}"
