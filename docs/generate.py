"""The generated parts of these pages: `python docs/generate.py` writes them, `--check` compares.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the rest is
written by hand. Everything here is read from where it is declared, so no page can disagree.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from vision_evals import log
from vision_evals.measures import MEASURES, lookup
from vision_evals.measures.attack_tables import Apgd, Foolbox, Pgd
from vision_evals.models.card import Card, Input
from vision_evals.models.recipe import Augment, EarlyStopping, Optimizer, Recipe
from vision_evals.suite.declared_options import declared
from vision_evals.suite.spec import MetricSpec, Spec
from vision_evals.validity.checks import CHECKS

PAGES = Path(__file__).resolve().parent
_BLOCK = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def measure(name: str) -> Iterator[str]:
    """Yield what a measure declares: its parameters and its metrics."""
    spec = lookup(name, Path())
    yield from (spec.about, "")
    yield from (f"Asks for: {', '.join(_needs(spec))}.", "")
    if spec.parameters.model_fields:
        yield from (*_fields(spec.parameters, "parameter"), "")
    head = ("metric", "is", "unit", "better", "interval", "paired", "source")
    yield from _table(head, map(_metric, spec.metrics))
    for reference in spec.references:
        yield ""
        yield (
            f"Shown beside `{reference.metric}`, never as a line to pass: {reference.label}, "
            f"{reference.value:g}, n = {reference.n:,} ({reference.source})."
        )


def _needs(spec: Spec) -> Iterator[str]:
    if spec.subject is not None:
        yield "no network and no images"
        return
    yield "a network"
    if spec.images:
        yield "labelled images" if spec.labels else "images, with labels or without"
    if spec.gradient:
        yield "the gradient with respect to the pixels"
    if spec.against:
        yield "with `against`, a second image set"


def _metric(spec: MetricSpec) -> tuple[str, ...]:
    axis = "" if spec.axis is None else f" (at each of `{spec.axis}`)"
    better = "higher" if spec.higher_is_better else "lower"
    paired = "yes" if spec.per_image is not None else "no"
    interval = {"wilson": "Wilson", "bootstrap": "bootstrap", None: "none"}[spec.interval]
    return f"`{spec.name}`{axis}", spec.about, spec.unit, better, interval, paired, spec.source


def options() -> Iterator[str]:
    """Yield every option."""
    rows = []
    for option in declared():
        flag = option.flag if option.metavar is None else f"{option.flag} {option.metavar}"
        about = f"{option.help}; repeatable" if option.repeated else option.help
        commands = ", ".join(f"`{command}`" for command in option.commands)
        rows.append((f"`{flag}`", option.default_text or "", about, commands))
    yield from _table(("option", "default", "is", "also of `evals`"), rows)


def validity() -> Iterator[str]:
    """Yield every validity check."""
    rows = [(c.id, c.name, c.meaning, c.cost, c.severity, c.source) for c in CHECKS]
    yield from _table(("id", "asks for", "because", "cost", "failure is", "source"), rows)


def tables(*models: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of TOML tables, or the fields of records."""
    for number, model in enumerate(models):
        if number:
            yield ""
        yield from (_sentence(inspect.getdoc(model) or ""), "")
        yield from _fields(model, "key")


def _fields(model: type[BaseModel], what: str) -> Iterator[str]:
    rows = [
        (f"`{field.alias or name}`", _default(field), _sentence(field.description or ""))
        for name, field in model.model_fields.items()
    ]
    yield from _table((what, "default", "is"), rows)


def log_records() -> Iterator[str]:
    """Yield the fields of the records of ``run.json``, the run first."""
    for record in _records(log.Run):
        yield from (f"**{record.__name__}**: {_sentence(inspect.getdoc(record) or '')}", "")
        rows = [
            (f"`{field.alias or name}`", f"`{_type(field.annotation)}`", field.description or "")
            for name, field in record.model_fields.items()
        ]
        yield from (*_table(("field", "type", "is"), rows), "")


def _records(start: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a record and all that it holds, each once, in the order in which they come."""
    found = [start]
    for record in found:  # grows while it is walked
        for field in record.model_fields.values():
            inside = dict.fromkeys(_models(field.annotation))
            found += [kind for kind in inside if kind not in found]
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)


def _type(annotation: Any) -> str:
    """Return a type as JSON's reader thinks of it."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(parts[0])
    if origin is typing.Literal:
        return " or ".join(map(repr, parts))
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if part is type(None) else _type(part) for part in parts)
    if origin is tuple:
        return f"list of {_type(parts[0])}"
    if origin in (dict, Mapping):
        return f"object of {_type(parts[1])}"
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(
        getattr(annotation, "__name__", str(annotation)), getattr(annotation, "__name__", "any")
    )


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return "" if value is None or value in ((), {}) else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    """Return a value as a suite would write it."""
    if isinstance(value, BaseModel):
        rest = value.model_dump(exclude_defaults=True).items()
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in rest) + " }"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    """Return text on one line that ends no cell; docstrings mark code by two backticks."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def _sentence(docstring: str) -> str:
    return _cell(docstring.partition("\n\n")[0])


PARTS: Mapping[str, Callable[[], Iterator[str]]] = {
    **{f"measure-{name}": partial(measure, name) for name in MEASURES},
    "options": options,
    "validity": validity,
    "card": partial(tables, Card, Input),
    "recipe": partial(tables, Recipe, Optimizer, Augment, EarlyStopping),
    "attacks": partial(tables, Pgd, Apgd, Foolbox),
    "log": log_records,
}
"""Each is somewhere in the pages, once."""


def generated(page: str) -> str:
    """Return a page with its parts made anew."""

    def block(found: re.Match[str]) -> str:
        text = "\n".join(PARTS[found[2]]()).strip()
        return f"{found[1]}\n{text}\n\n{found[3]}"

    return _BLOCK.sub(block, page)


def main() -> int:
    """Write what is stale; with ``--check`` name it and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page is stale")
    check = parser.parse_args().check
    stale = []
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := generated(text)) != text:
            stale.append(page.name)
            if not check:
                page.write_text(new, encoding="utf-8")
    for name in stale:
        said = "stale; run python docs/generate.py" if check else "written"
        sys.stdout.write(f"docs/{name}: {said}\n")
    return int(check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
