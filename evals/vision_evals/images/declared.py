"""Declarations of a folder or manifest: from which images its pictures were drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from vision_evals.core.errors import UserError
from vision_evals.core.tables import Table, parse_toml, toml_text, validate
from vision_evals.images.art import LIST
from vision_evals.suite.suite import is_suite

FOLDER_DECLARATION = "images.toml"
"""File with the declaration of its folder."""

MANIFESTS = ("csv", "tsv", "parquet")
"""Extensions; ``val.toml`` declares for ``val.csv``."""


class Declaration(Table):
    """Facts about pictures that the files themselves do not hold."""

    sample_of: str | None = None
    """Class map, such as ``imagenet``, whose published accuracies may be compared with these
    pictures, since they are a random sample of the images of those."""
    count: Annotated[int, Field(ge=1)] | None = None
    """How many pictures there are: where another number is found, none is judged."""
    about: str | None = None
    """For people: where the pictures come from, and how they were drawn."""


def sample_of(source: Path, found: int) -> str | None:
    """Return the class map that a folder or manifest declares its pictures to be a sample of.

    Args:
        source: folder or manifest.
        found: how many pictures it holds.

    Raises:
        UserError: the declaration is not TOML, has an unknown key or a wrong value, or declares
            another number of pictures.
    """
    path = declaration(source)
    if path is None or not path.is_file():
        return None
    text = toml_text(path)
    if is_suite(text):  # a suite with the name of the manifest
        return None
    declared = validate(Declaration, parse_toml(text, path), str(path))
    if declared.count not in {None, found}:
        raise UserError(
            f"{path}: count = {declared.count}, and there are {found} pictures; put those missing "
            "back, or write the new number"
        )
    return declared.sample_of


def declaration(source: Path) -> Path | None:
    """Return the file, there or not, in which a source is declared a sample of something.

    None for a single picture, and for a manifest whose file would be a list of art.
    """
    if source.is_dir():
        return source / FOLDER_DECLARATION
    if source.suffix.lower().removeprefix(".") not in MANIFESTS:
        return None
    path = source.with_suffix(".toml")
    return None if path.name == LIST else path
