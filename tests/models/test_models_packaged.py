"""The packaged classifiers see what an independent loop saw."""

import functools
import importlib.metadata
import importlib.util
import io
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torchvision import models

from vision_evals.core.errors import UnavailableError, UserError
from vision_evals.images.decode import read
from vision_evals.images.geometry import pixels
from vision_evals.models import packaged
from vision_evals.models.build import build
from vision_evals.models.card import Card
from vision_evals.models.classifier import Classifier
from vision_evals.models.registry import PACKAGED

ROOT = Path(__file__).resolve().parents[2]
ART = Path(__file__).parents[2] / "fixtures" / "art"
SQUEEZENET = Card(network="packaged:squeezenet1_1_caffe")
TOP1 = {  # work: efficientnet_lite0, squeezenet1_1_caffe; an independent loop
    "arcimboldo-librarian": ("vestment", 0.23, "trench coat", 0.25),
    "arcimboldo-spring": ("starfish", 0.17, "chiton", 0.80),
    "hokusai-great-wave": ("tray", 0.16, "sombrero", 0.67),
    "hokusai-ejiri": ("canoe", 0.08, "ski", 0.58),
    "hokusai-oiran-and-kamuro": ("comic book", 0.27, "bonnet", 0.19),
    "hokusai-poppies": ("handkerchief", 0.34, "hen-of-the-woods", 0.24),
    "hokusai-kazusa-sea-route": ("pirate", 0.23, "pirate", 0.45),
    "hiroshige-horse-mackerel-and-prawns": ("comic book", 0.20, "ocarina", 0.50),
    "hiroshige-inokashira-snow": ("book jacket", 0.23, "seashore", 0.49),
    "duerer-lion": ("lion", 0.30, "lion", 0.39),
    "bruegel-harvesters": ("Arabian camel", 0.29, "lumbermill", 0.08),
    "leonardo-mona-lisa": ("wig", 0.13, "siamang", 0.63),
    "kandinsky-composition-viii": ("jigsaw puzzle", 0.51, "oscilloscope", 0.45),
    "renoir-girls-at-the-piano": ("book jacket", 0.34, "potter's wheel", 0.42),
    "van-gogh-night-cafe": ("throne", 0.22, "dining table", 0.26),
    "van-gogh-cafe-terrace": ("jigsaw puzzle", 0.31, "throne", 0.83),
    "van-gogh-pere-tanguy": ("comic book", 0.46, "Egyptian cat", 0.41),
    "van-gogh-starry-night": ("jigsaw puzzle", 0.10, "peacock", 0.43),
}


@functools.cache
def classifier(name: str) -> Classifier:
    return build(name, Card(network=f"packaged:{name}"), Path(), download=False)


def look(judge: Classifier, files: list[Path]) -> torch.Tensor:
    seen = [pixels(read(file).picture, judge.geometry) for file in files]
    with torch.inference_mode():
        return judge.logits(torch.stack(seen).float() / 255)


@pytest.mark.parametrize(
    ("name", "top1", "top5"), [("squeezenet1_1_caffe", 14, 20), ("efficientnet_lite0", 17, 19)]
)
def test_twenty_photographs(name: str, top1: int, top5: int) -> None:
    spec = importlib.util.find_spec("foolbox")
    assert spec is not None
    assert spec.origin is not None
    files = sorted((Path(spec.origin).parent / "data").glob("imagenet_*.jpg"))
    labels = torch.tensor([[int(file.stem.split("_")[2])] for file in files])
    right = look(classifier(name), files).topk(5).indices == labels
    assert len(files) == 20
    assert (int(right[:, 0].sum()), int(right.sum())) == (top1, top5)


@pytest.mark.parametrize(("name", "at"), [("efficientnet_lite0", 0), ("squeezenet1_1_caffe", 2)])
def test_art(name: str, at: int) -> None:
    judge = classifier(name)
    logits = look(judge, [ART / f"{work}.jpg" for work in TOP1])
    confidence, index = logits.softmax(1).max(1)
    seen = [judge.classes.names[i] for i in index]
    assert seen == [row[at] for row in TOP1.values()]
    for got, row in zip(confidence.tolist(), TOP1.values(), strict=True):
        assert got == pytest.approx(row[at + 1], abs=0.0051)


def test_what_a_packaged_classifier_says_of_itself() -> None:
    squeezenet = classifier("squeezenet1_1_caffe")
    assert squeezenet.weights == f"package ndf {importlib.metadata.version('ndf')}"
    assert squeezenet.sha256 is not None
    assert squeezenet.sha256.startswith("f286bbf4")
    assert squeezenet.parameters == 1_235_496
    assert str(squeezenet.geometry) == "resize 256 bilinear, crop 227"
    for name, side in {"efficientnet_lite1": 240, "efficientnet_lite2": 260}.items():
        lite = classifier(name)
        assert str(lite.geometry) == f"resize {side + 32} bilinear, crop {side}"
        assert not lite.network.training
        assert not any(parameter.requires_grad for parameter in lite.network.parameters())
        with torch.inference_mode():
            assert lite.logits(torch.rand(1, 3, side, side)).shape == (1, 1000)
    assert len({classifier(name).fingerprint for name in PACKAGED}) == len(PACKAGED)


def test_the_package_of_the_weights_is_not_imported() -> None:
    classifier("squeezenet1_1_caffe")
    assert "ndf" not in sys.modules


def test_squeezenet_equals_caffes_own_formula() -> None:
    state = dict(packaged.weights(SQUEEZENET, download=False).state or {})
    state["features.0.weight"] = state["features.0.weight"].flip(1)  # as in the file: BGR
    original = models.squeezenet1_1(weights=None).eval()
    original.load_state_dict(state)
    photographs = torch.rand(2, 3, 227, 227, generator=torch.Generator().manual_seed(0))
    bgr = photographs.flip(1) * 255 - torch.tensor([104.006, 116.669, 122.679]).view(3, 1, 1)
    with torch.inference_mode():
        expected = original(bgr)
        actual = classifier("squeezenet1_1_caffe").logits(photographs)
    assert (actual - expected).abs().max() / expected.abs().max() < 4e-6


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_the_pickle_may_name_arrays_only(tmp_path: Path) -> None:
    content = io.BytesIO(pickle.dumps({"conv1": Payload(tmp_path / "mark")}))
    with pytest.raises(UserError, match=r"would call posix\.mkdir"):
        packaged.ArrayUnpickler(content).load()
    assert not (tmp_path / "mark").exists()


def test_an_altered_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, file = packaged.find(SQUEEZENET)
    copy = tmp_path / "weights.pkl"
    shutil.copy(file, copy)
    with copy.open("ab") as end:
        end.write(b"x")
    monkeypatch.setattr(packaged, "find", lambda _: ("ndf", copy))
    with pytest.raises(UserError, match="wrong file: its sha256 is"):
        packaged.weights(SQUEEZENET, download=False)


@pytest.mark.parametrize("name", ["squeezenet1_1_caffe", "efficientnet_lite0"])
def test_a_missing_package_has_a_repair(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    card = Card(network=f"packaged:{name}")
    with pytest.raises(UnavailableError, match="is not installed; pip install") as raised:
        build("a", card, Path(), download=True)
    assert "'vision-evals[samples]'" in str(raised.value)
    assert packaged.unavailable(card) == str(raised.value)


def test_a_missing_package_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(UnavailableError, match="efficientnet-lite-pytorch is not installed"):
        build("a", Card(network="packaged:efficientnet_lite0"), Path(), download=False)


def test_an_unknown_name() -> None:
    with pytest.raises(UserError, match=r'did you mean .*"efficientnet_lite0"'):
        build("a", Card(network="packaged:efficientnet_lite"), Path(), download=False)
