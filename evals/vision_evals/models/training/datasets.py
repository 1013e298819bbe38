"""Data sets by name: where they are, and how to download them. Imports torch only inside."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vision_evals.core.errors import UnavailableError, UserError
from vision_evals.core.paths import user_path
from vision_evals.images.files import resolve
from vision_evals.models.recipe import BUILT_IN_DATA, Recipe

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HELD_OUT_EVERY = 5
"""Every fifth digit is never trained or validated on; those digits are fixtures/digits."""


class ImageArrays(NamedTuple):
    """Images of one size in memory."""

    levels: npt.NDArray[np.uint8]
    """(n, height, width) grey or (n, height, width, 3) RGB."""
    classes: npt.NDArray[np.int64]
    """(n,)."""
    names: tuple[str, ...]
    """Of the classes."""


def place(recipe: Recipe, base: Path, where: str) -> Path | None:
    """Return the folder of the data, which exists; None for scikit-learn's digits.

    Raises:
        UnavailableError: scikit-learn or the files of a data set are missing.
        UserError: no data of that name is known or exists.
    """
    if recipe.data == "digits":
        if find_spec("sklearn") is None:
            raise UnavailableError(
                f'{where}: data = "digits" needs scikit-learn; '
                "pip install 'vision-evals[recipes]'"
            )
        return None
    if recipe.data in BUILT_IN_DATA:
        return _downloaded(recipe.data, _root(recipe, base), where)
    try:
        path = resolve(recipe.data, base, *BUILT_IN_DATA)
    except UserError as error:
        raise UserError(f"{where}: data = {error}") from None
    if not path.is_dir():
        raise UserError(
            f'{where}: data = "{recipe.data}" is a file; name a folder of class folders'
        )
    return path


def find(recipe: Recipe, base: Path, where: str) -> Path | ImageArrays:
    """Return a folder of class folders, or all images of a data set that is not its test part.

    scikit-learn's digits are returned whole.

    Raises:
        UnavailableError: scikit-learn or the files of a data set are missing.
        UserError: no data of that name is known or exists, or the files are damaged.
    """
    folder = place(recipe, base, where)
    if folder is None:
        return _digits()
    return _torchvision(recipe.data, folder, where) if recipe.data in BUILT_IN_DATA else folder


def _digits() -> ImageArrays:
    """Return what scikit-learn's ``load_digits`` does; to import that takes a second."""
    import numpy as np

    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "data"
    table = np.loadtxt(folder / "digits.csv.gz", delimiter=",")
    levels = np.round(table[:, :-1].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    return ImageArrays(levels, table[:, -1].astype(np.int64), tuple(map(str, range(10))))


def _torchvision(name: str, root: Path, where: str) -> ImageArrays:
    import numpy as np
    from torchvision import datasets

    try:
        # CIFAR10 is pickled: torchvision compares every file with the md5 in its own source before
        # it unpickles one, so a changed file is never loaded
        data = getattr(datasets, name)(root, train=True, download=False)
    except Exception as error:
        raise UserError(
            f'{where}: data = "{name}" in {root} is damaged: {error}; delete it there and '
            f"{_fetch(name, root)}"
        ) from error
    levels = np.asarray(data.data, dtype=np.uint8)
    return ImageArrays(levels, np.asarray(data.targets, dtype=np.int64), tuple(data.classes))


def _root(recipe: Recipe, base: Path) -> Path:
    if recipe.root is not None:
        return user_path(recipe.root, base)
    import torch

    return Path(torch.hub.get_dir()) / "datasets"


def _downloaded(name: str, root: Path, where: str) -> Path:
    from torchvision import datasets

    if name == "CIFAR10":
        data = datasets.CIFAR10
        files = [file for file, _ in (*data.train_list, *data.test_list)]
        needed = [root / data.base_folder / file for file in (*files, data.meta["filename"])]
    else:
        urls = [url for url, _ in getattr(datasets, name).resources]
        needed = [root / name / "raw" / url.removesuffix(".gz") for url in urls]
    missing = [file for file in needed if not file.is_file()]
    if missing:
        raise UnavailableError(
            f'{where}: data = "{name}": {missing[0]} is missing; {_fetch(name, root)}'
        )
    return root


def _fetch(name: str, root: Path) -> str:
    return (
        "fetch it with this line of Python: "
        f"import torchvision; torchvision.datasets.{name}({str(root)!r}, download=True)"
    )
