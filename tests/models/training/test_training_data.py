"""What recipes train on: the split, the pixels, data sets on disk, folders of pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

from vision_evals.core.errors import UnavailableError, UserError
from vision_evals.images.decode import read
from vision_evals.images.geometry import Geometry, pixels
from vision_evals.images.sources import load as image_set
from vision_evals.models.recipe import Recipe
from vision_evals.models.training.data import Data, MemorySubset, load
from vision_evals.models.training.pictures import FolderSubset
from vision_evals.models.training.split import held_out, smallest

CPU = torch.device("cpu")


def recipe_of(**keys: Any) -> Recipe:
    return Recipe.model_validate({"data": "digits", "optimizer": {"lr": 0.1}, "epochs": 1} | keys)


def data_of(base: Path = Path(), **keys: Any) -> Data:
    return load(recipe_of(**keys), base, "bilinear", "net")


def held(part: object) -> MemorySubset:
    assert isinstance(part, MemorySubset)
    return part


def rows(part: object) -> Counter[bytes]:
    return Counter(level.tobytes() for level in held(part).levels)


def test_digits_are_split_into_train_validation_and_the_fixtures() -> None:
    data = data_of()
    kept = [
        np.asarray(Pictures.open(i.path)).tobytes() for i in image_set("digits_test", Path()).images
    ]
    assert len(data.train) + len(data.validation) + len(kept) == 1797
    assert abs(len(data.validation) - 0.2 * 1437) <= 5
    from sklearn.datasets import load_digits

    everything = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    # no image is lost, and none is counted twice
    assert rows(data.train) + rows(data.validation) + Counter(kept) == Counter(
        level.tobytes() for level in everything
    )
    assert data.classes.names == tuple("0123456789")


def test_digits_have_the_pixels_that_networks_judge() -> None:
    data = data_of(size=32)
    first = held(data.train)
    assert first.pixels.shape == (len(first), 1, 32, 32)
    picture = Pictures.fromarray(first.levels[0]).convert("RGB")
    assert torch.equal(first.pixels[0].expand(3, -1, -1), pixels(picture, Geometry(32, 32)))
    order = torch.tensor([2, 0, 1])
    seen = list(first.reader(CPU)(order, 2, torch.Generator()))
    assert [tuple(p.shape) for p, _ in seen] == [(2, 3, 32, 32), (1, 3, 32, 32)]
    assert torch.equal(seen[1][0][0], first.pixels[1].expand(3, -1, -1))
    assert torch.cat([c for _, c in seen]).tolist() == first.classes[[2, 0, 1]].tolist()


def test_fewer_examples_are_a_part_of_more_and_validation_stays() -> None:
    few, more = data_of(size=8, examples=60), data_of(size=8, examples=200)
    assert (len(few.train), len(more.train)) == (60, 200)
    assert not rows(few.train) - rows(more.train)
    assert rows(few.validation) == rows(more.validation)
    assert few.fingerprint != more.fingerprint
    assert few.fingerprint == data_of(size=16, examples=60).fingerprint


def test_every_class_is_held_out_in_proportion() -> None:
    labels = [0] * 40 + [1] * 2 + [2] * 1
    ids = [f"{i}.png" for i in range(43)]
    train, validation = held_out(ids, labels, 0.2)
    assert sorted(train + validation) == list(range(43))
    assert Counter(labels[i] for i in validation) == {0: 8, 1: 1, 2: 1}
    assert smallest(ids, range(43), 5, "examples") == sorted(
        smallest(ids, range(43), 5, "examples")
    )


def fashion(root: Path, n: int = 40) -> np.ndarray:
    """Write idx files as torchvision looks for them; return the training images."""
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    levels = np.random.default_rng(0).integers(0, 256, (n, 28, 28)).astype(np.uint8)
    classes = (np.arange(n) % 10).astype(np.uint8)
    for part in ("train", "t10k"):
        for kind, array in (("images-idx3", levels), ("labels-idx1", classes)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(
                s.to_bytes(4, "big") for s in array.shape
            )
            (folder / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())
    return levels


def test_fashion_mnist_from_torchvisions_files(tmp_path: Path) -> None:
    levels = fashion(tmp_path / "sets")
    data = data_of(tmp_path, data="FashionMNIST", root="sets", size=28)
    assert rows(data.train) + rows(data.validation) == Counter(level.tobytes() for level in levels)
    assert data.classes.names[:2] == ("T-shirt/top", "Trouser")
    assert (len(data.train), len(data.validation)) == (30, 10)
    part = held(data.train)
    assert torch.equal(part.pixels[:, 0], torch.from_numpy(part.levels))


@pytest.mark.parametrize("name", ["FashionMNIST", "CIFAR10"])
def test_a_data_set_that_is_not_here_says_how_to_fetch_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        data_of(tmp_path, data=name, root="sets")
    line = f"torchvision.datasets.{name}({str(tmp_path / 'sets')!r}, download=True)"
    assert line in str(caught.value)


def test_torchs_hub_is_looked_into_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    fashion(tmp_path / "hub" / "datasets")
    assert len(data_of(data="FashionMNIST").train) == 30


def test_a_changed_pickle_is_never_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    trap = b"cbuiltins\nopen\n(S'" + str(tmp_path / "trap").encode() + b"'\nS'w'\ntR."
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(trap)
    with pytest.raises(UserError, match=r'data = "CIFAR10" in .* is damaged: .*delete it there'):
        data_of(tmp_path, data="CIFAR10", root=".")
    assert not (tmp_path / "trap").exists()


def test_damaged_idx_files(tmp_path: Path) -> None:
    fashion(tmp_path)
    file = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=r'data = "FashionMNIST" in .* is damaged'):
        data_of(tmp_path, data="FashionMNIST", root=".")


def pictures(root: Path, **classes: int) -> Path:
    noise = np.random.default_rng(1)
    for name, n in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(n):
            level = noise.integers(0, 256, (30 + i, 40, 3)).astype(np.uint8)
            Pictures.fromarray(level).save(root / name / f"{i}.png")
    return root


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    pictures(tmp_path / "pets", cat=5, dog=7)
    data = data_of(tmp_path, data="pets", size=14)
    assert data.classes.names == ("cat", "dog")
    assert (len(data.train), len(data.validation)) == (10, 2)
    assert data.geometry == Geometry(16, 14)
    album = data.train
    assert isinstance(album, FolderSubset)
    order = torch.arange(9, -1, -1)
    seen = list(album.reader(CPU)(order, 4, torch.Generator()))
    assert [len(p) for p, _ in seen] == [4, 4, 2]
    assert torch.cat([c for _, c in seen]).tolist() == list(reversed(album.classes))
    last = pixels(read(album.images[9].path).picture, Geometry(16, 14))
    assert torch.equal(seen[0][0][0], last)


def test_train_and_val_are_used_as_they_are(tmp_path: Path) -> None:
    pictures(tmp_path / "pets" / "train", cat=3, dog=4)
    pictures(tmp_path / "pets" / "val", cat=1, dog=2)
    data = data_of(tmp_path, data="pets", size=8)
    assert (len(data.train), len(data.validation)) == (7, 3)


def test_random_crops_follow_from_the_generator_alone(tmp_path: Path) -> None:
    pictures(tmp_path / "pets", cat=6, dog=6)
    augment = {"scale": [0.3, 0.9], "flip": True}
    data = data_of(tmp_path, data="pets", size=12, augment=augment)
    state = torch.get_rng_state()

    def crops(part: Any, seed: int) -> torch.Tensor:
        read_ = part.reader(CPU)(torch.arange(len(part)), 4, torch.Generator().manual_seed(seed))
        return torch.cat([pixels for pixels, _ in read_])

    first = crops(data.train, 0)
    assert first.shape == (10, 3, 12, 12)
    assert first.dtype == torch.uint8
    assert torch.equal(first, crops(data.train, 0))
    assert not torch.equal(first, crops(data.train, 1))
    assert torch.equal(crops(data.validation, 0), crops(data.validation, 1))
    assert torch.equal(torch.get_rng_state(), state)


def test_bytes_and_split_are_in_the_fingerprint(tmp_path: Path) -> None:
    pictures(tmp_path / "pets", cat=5, dog=5)
    first = data_of(tmp_path, data="pets", size=8).fingerprint
    assert first == data_of(tmp_path, data="pets", size=8).fingerprint
    assert first != data_of(tmp_path, data="pets", size=8, validation=0.4).fingerprint
    Pictures.new("RGB", (9, 9)).save(tmp_path / "pets" / "cat" / "0.png")
    assert first != data_of(tmp_path, data="pets", size=8).fingerprint


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    pictures(tmp_path / "pets", cat=3, dog=3)
    for file in (tmp_path / "pets").rglob("*.png"):
        file.write_bytes(b"<html>")
    for augment in (None, {"flip": False}):
        part = data_of(tmp_path, data="pets", size=8, augment=augment).train
        with pytest.raises(
            UserError, match=r'picture "cat/.\.png" cannot be trained on; repair or rem'
        ):
            list(part.reader(CPU)(torch.arange(len(part)), 2, torch.Generator()))
