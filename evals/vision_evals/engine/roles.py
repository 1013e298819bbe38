"""The image set of a role: a folder, a manifest or a built-in set. No torch."""

from __future__ import annotations

import os
from pathlib import Path

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.paths import user_path
from vision_evals.images.sources import BUILT_IN
from vision_evals.suite.options import DEFAULT_ROLE, Options, Source
from vision_evals.suite.suite import Check, Suite

ROLES = {DEFAULT_ROLE: "imagenet_samples", "art": "art_samples"}
"""Default image set of each role."""


def sources(
    options: Options, suite: Suite, check: Check, folder: Path
) -> tuple[Source | None, Source | None]:
    """Return the sources of a check's roles: the images, and those to compare with.

    Args:
        options: of the run; a role that they name comes from there.
        suite: of the check.
        check: whose roles.
        folder: of the suite.

    Raises:
        UserError: a role has no source.
    """
    where = f'{suite.path}:{check.line}, check "{check.name}"'
    images, against = (
        None if role is None else _source(options, suite, role, folder, where)
        for role in (check.table.images, check.table.against)
    )
    return images, against


def _source(options: Options, suite: Suite, role: str, folder: Path, where: str) -> Source:
    """Look a role up: command line or options, suite, default, in this order.

    A role without a source may be one that the suite calls unavailable.
    """
    if role in options.images:
        return source_of(*options.images[role])
    if role in suite.images:
        return source_of(suite.images[role], folder)
    if role in ROLES:
        return source_of(ROLES[role], folder)
    if role in suite.unavailable:
        reason = f"{suite.unavailable[role]}; name the picture with --evals-images {role}=FILE"
        return Source(role, "", missing=reason)
    roles = {*options.images, *suite.images, *ROLES}
    raise UserError(
        f'{where}: nothing says what images "{role}" are{did_you_mean(role, roles)}; '
        f'write {role} = "FOLDER" under [images], or --evals-images {role}=FOLDER'
    )


def source_of(text: str, base: Path) -> Source:
    """Return the source for its text; whether it exists is checked when it is loaded."""
    if text in BUILT_IN:
        return Source(text, text)
    return Source(text, os.path.normpath(user_path(text, base)))
