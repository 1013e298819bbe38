"""What the speed benchmark stands on: its pictures, and the usual tools as it calls them."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.benchmark import FOLDER, script
from vision_evals.images import sources
from vision_evals.images.decode import read

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("foolbox") is None, reason="foolbox, which has the photographs"
)


@pytest.fixture(scope="module")
def corpus() -> Any:
    return script("corpus")


@pytest.fixture(scope="module")
def peers() -> Any:
    return script("peers")


@pytest.fixture(scope="module")
def folder(corpus: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = corpus.make(tmp_path_factory.mktemp("corpus") / "made", 12)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files(folder)}


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_pictures_are_distinct_and_sized_as_those_of_imagenet(folder: Path) -> None:
    assert [path.name for path in sorted(files(folder), key=lambda path: path.name)] == [
        f"{i:06d}.jpeg" for i in range(12)
    ]
    sizes = [size(path) for path in files(folder)]
    assert all(250 <= side <= 700 for sides in sizes for side in sides)
    assert (500, 375) in sizes
    assert len(set(contents(folder).values())) == 12


def test_sides(corpus: Any, tmp_path: Path) -> None:
    corpus.make(tmp_path, 12, side=(32, 48))
    assert {size(path) for path in files(tmp_path)} == {(48, 32)}


def test_seed_decides_the_bytes(corpus: Any, folder: Path, tmp_path: Path) -> None:
    assert contents(corpus.make(tmp_path / "same", 12)) == contents(folder)
    assert not set(contents(corpus.make(tmp_path / "other", 12, seed=1)).values()) & set(
        contents(folder).values()
    )


def test_a_killed_call_goes_on(corpus: Any, folder: Path, tmp_path: Path) -> None:
    corpus.make(tmp_path, 12)
    lost, *kept = files(tmp_path)
    lost.unlink()
    stamps = [path.stat().st_mtime_ns for path in kept]
    corpus.make(tmp_path, 12)
    assert not lost.exists()  # the marker was believed
    marker = tmp_path / corpus.MARKER
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"done": False}))
    corpus.make(tmp_path, 12)
    assert contents(tmp_path) == contents(folder)
    assert [path.stat().st_mtime_ns for path in kept] == stamps


def test_a_corpus_grows(corpus: Any, folder: Path, tmp_path: Path) -> None:
    corpus.make(tmp_path, 4)
    assert contents(corpus.make(tmp_path, 12)) == contents(folder)


def test_processes_give_the_same_bytes(
    corpus: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "CHUNK", 6)
    monkeypatch.syspath_prepend(str(FOLDER))
    # spawned processes import the module by its name
    monkeypatch.setattr(corpus._write, "__module__", "corpus")
    monkeypatch.setitem(sys.modules, "corpus", corpus)
    monkeypatch.setattr(corpus.Recipe, "__module__", "corpus")
    assert contents(corpus.make(tmp_path, 12)) == contents(folder)


@pytest.mark.parametrize("asked", [{"n": 11}, {"n": 12, "seed": 1}, {"n": 12, "side": (9, 9)}])
def test_another_corpus_is_refused(corpus: Any, folder: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="holds the corpus"):
        corpus.make(folder, **asked)


def test_sides_out_of_range_are_refused(corpus: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give 1 to 1023"):
        corpus.make(tmp_path, 1, side=(32, 2000))


def test_image_folder_and_evals_read_it(folder: Path) -> None:
    from torchvision.datasets import ImageFolder

    found = ImageFolder(str(folder))
    ours = sources.load(str(folder), Path())
    assert [Path(path) for path, _ in found.samples] == files(folder)
    assert sorted(image.path for image in ours.images) == files(folder)
    assert set(found.classes) <= set(sources.load("imagenet_samples", Path()).labels)


class Net(nn.Module):
    """A small network whose predictions on noise are of several classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Flatten()
        )
        self.head = nn.LazyLinear(5)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.layers((x - 0.5) / 0.25))
        return found


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    net = Net().eval()
    net(torch.zeros(1, 3, 16, 16))
    return net


@pytest.fixture
def x() -> Tensor:
    return torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def fgsm(net: Net, x: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Return whether each image is still classified as its label."""
    leaf = x.clone().requires_grad_()
    loss = nn.functional.cross_entropy(net(leaf), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    with torch.no_grad():
        moved = (x + epsilon * leaf.grad.sign()).clamp(0, 1)
        kept: Tensor = net(moved).argmax(1) == labels
    return kept


def test_foolbox_sweep_is_fgsm(peers: Any, net: Net, x: Tensor) -> None:
    labels, epsilons = net(x).argmax(1), [0.001, 0.003, 0.01, 0.03]
    robust = peers.foolbox_sweep(net, x, labels, epsilons)
    assert robust.dtype == torch.bool
    assert robust.tolist() == [fgsm(net, x, labels, epsilon).tolist() for epsilon in epsilons]
    assert 0 < robust.sum() < robust.numel()


def test_foolbox_pgd_breaks_what_fgsm_breaks(peers: Any, net: Net, x: Tensor) -> None:
    labels = net(x).argmax(1)
    robust = peers.foolbox_pgd(net, x, labels, 0.01, steps=5, rel_stepsize=0.3)
    assert robust.shape == (40,)
    assert robust.sum() <= fgsm(net, x, labels, 0.01).sum()


def test_as_loaded_undoes_freezing_and_channels_last(peers: Any, net: Net, x: Tensor) -> None:
    frozen = net.requires_grad_(requires_grad=False)
    frozen = frozen.to(memory_format=torch.channels_last)
    loaded = peers.as_loaded(frozen)
    assert all(values.requires_grad for values in loaded.parameters())
    assert loaded.layers[2].weight.stride() == (8, 1, 1, 1)
    assert not any(values.requires_grad for values in frozen.parameters())
    torch.testing.assert_close(loaded(x), frozen(x))


@pytest.mark.parametrize(("workers", "limit"), [(0, None), (1, 7)])
def test_loader_loop_predicts_as_a_plain_loop(
    peers: Any, folder: Path, net: Net, workers: int, limit: int | None
) -> None:
    transform = peers.usual_transform(18, 16, (0.4, 0.4, 0.4), (0.2, 0.2, 0.2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks, as Python's default was
        loop = peers.loader_loop(
            folder, net, transform, "cpu", workers=workers, batch_size=5, limit=limit
        )
    with torch.no_grad():
        plain = [
            int(net(transform(read(path).picture)[None]).argmax()) for path in files(folder)[:limit]
        ]
    assert loop.predictions.tolist() == plain
    assert loop.images == (limit or 12)
    assert 0 < loop.start_seconds <= loop.seconds


def test_parts_alone_have_a_speed(peers: Any, folder: Path, net: Net, x: Tensor) -> None:
    assert peers.forward_alone(net, x, 2) > 0
    assert peers.decode_alone(files(folder), 2, 64, 56) > 0
    assert peers.decode_device_alone(files(folder), "cpu", 5) > 0


# all inside, too few of them, and none but the range around them
@pytest.mark.parametrize(
    "candidates", [[i / 2000 for i in range(1, 60)], [1e-4, 0.01, 0.5], [1e-6, 0.5], [0.008, 0.5]]
)
def test_flipping_epsilons(peers: Any, net: Net, x: Tensor, candidates: list[float]) -> None:
    labels = net(x).argmax(1)
    epsilons = peers.flipping_epsilons(net, x, labels, candidates)
    assert len(set(epsilons)) == 8
    assert epsilons == sorted(epsilons)
    flipped = [float((~fgsm(net, x, labels, e)).double().mean()) for e in epsilons]
    assert all(0.1 <= share <= 0.9 for share in flipped)


def test_flipping_epsilons_says_that_none_flips(peers: Any, net: Net, x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"no epsilons flip 10% to 90%.*1e-06: 0%"):
        peers.flipping_epsilons(net, x, net(x).argmax(1), [1e-6, 2e-6])
