"""timm's networks bring timm's weights and preprocessing."""

import re
import socket
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from vision_evals.core.errors import UnavailableError, UserError
from vision_evals.models import timm as timm_zoo
from vision_evals.models.build import build, unavailable
from vision_evals.models.card import Card, Input

timm = pytest.importorskip("timm")
huggingface_hub = pytest.importorskip("huggingface_hub")
CARD = Card(network="timm:test_resnet.r160_in1k")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fill(cache: Path) -> dict[str, torch.Tensor]:
    """Lay a file where the hub keeps it."""
    state: dict[str, torch.Tensor] = timm.create_model("test_resnet").state_dict()
    repository = cache / "models--timm--test_resnet.r160_in1k"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    safetensors.torch.save_file(state, snapshot / "model.safetensors")
    return state


def test_published_weights(cache: Path) -> None:
    state = fill(cache)
    assert unavailable(CARD, Path()) is None
    built = build("a", CARD, Path(), download=False)
    assert built.weights == "timm test_resnet.r160_in1k"
    for name, tensor in built.network.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert not built.network.training
    assert built.logits(torch.rand(1, 3, 160, 160)).shape == (1, 1000)
    assert "state_dict" not in vars(built.network)["pretrained_cfg"]


@pytest.mark.parametrize("name", ["test_resnet", "resnet50", "inception_v3", "convnext_tiny"])
def test_facts_are_those_of_the_built_network(name: str) -> None:
    network = timm.create_model(name)
    config = timm.data.resolve_model_data_config(network)
    transforms = timm.data.create_transform(**config).transforms
    given = timm_zoo.facts(Card(network=f"timm:{name}")).input
    assert given is not None
    assert given.resize == transforms[0].size
    assert (given.crop, given.crop) == tuple(transforms[1].size)
    assert given.interpolation == transforms[0].interpolation.value
    assert torch.equal(torch.tensor(given.mean), transforms[-1].mean)
    assert torch.equal(torch.tensor(given.std), transforms[-1].std)


def test_squashed_pictures() -> None:
    given = timm_zoo.facts(Card(network="timm:coat_lite_medium_384.in1k")).input
    assert given is not None
    assert (given.resize, given.crop) == ((384, 384), 384)


def test_pictures_with_borders_are_left_to_a_card() -> None:
    def bordered(name: str) -> bool:
        return bool(timm.get_pretrained_cfg(name).crop_mode == "border")

    name = next(filter(bordered, timm.list_pretrained()))
    with pytest.raises(UserError, match="write a card with its input"):
        timm_zoo.facts(Card(network=f"timm:{name}"))
    given = Input(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert timm_zoo.facts(Card(network=f"timm:{name}", input=given)).input == given


def test_a_checkpoint_for_other_classes(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("ant\nbee\ncat\n")
    state = timm.create_model("test_resnet", num_classes=3).state_dict()
    torch.save(state, tmp_path / "mine.pt")
    card = Card(network="timm:test_resnet", checkpoint="mine.pt", classes="classes.txt")
    built = build("a", card, tmp_path, download=False)
    assert built.weights == "file mine.pt"
    assert built.logits(torch.rand(2, 3, 160, 160)).shape == (2, 3)


def test_published_weights_of_other_classes(cache: Path, tmp_path: Path) -> None:
    fill(cache)
    (tmp_path / "classes.txt").write_text("ant\nbee\ncat\n")
    card = CARD.model_copy(update={"classes": "classes.txt"})
    with pytest.raises(UserError, match="has 1000 classes, the class map 3"):
        build("a", card, tmp_path, download=False)


def test_damaged_weights(cache: Path) -> None:
    fill(cache)
    [file] = cache.rglob("model.safetensors")
    safetensors.torch.save_file({"w": torch.ones(1)}, file)
    with pytest.raises(UserError, match="timm cannot load these weights"):
        build("a", CARD, Path(), download=False)


def test_nothing_is_downloaded_unasked(cache: Path) -> None:
    says = "timm/test_resnet.r160_in1k is not in the hub's cache"
    assert unavailable(CARD, Path()) == says
    with pytest.raises(UnavailableError, match=re.escape(says)):
        build("a", CARD, Path(), download=False)


def test_no_network_is_told_within_seconds(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/model.safetensors"
        monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_, **__: address)
        monkeypatch.setattr(timm_zoo, "TIMEOUT_SECONDS", 0.2)
        started = time.monotonic()
        with pytest.raises(UnavailableError, match="cannot be downloaded") as raised:
            build("a", CARD, Path(), download=True)
    assert time.monotonic() - started < 10  # the library's own patience is half a minute
    assert "127.0.0.1" not in str(raised.value)


def test_a_missing_package_has_a_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UnavailableError, match=r"pip install 'vision-evals\[timm\]'") as raised:
        build("a", CARD, Path(), download=True)
    assert unavailable(CARD, Path()) == str(raised.value)


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (Card(network="timm:test_resnett"), 'no network "test_resnett"; did you mean'),
        (Card(network="timm:test_resnet.r160"), 'did you mean "test_resnet.r160_in1k"'),
        (CARD.model_copy(update={"weights": "r160"}), "write timm:NAME.TAG instead"),
    ],
)
def test_unknown_names(card: Card, says: str) -> None:
    with pytest.raises(UserError) as raised:
        build("a", card, Path(), download=False)
    assert says in str(raised.value)


def test_a_network_without_published_weights() -> None:
    name = next(n for n in timm.list_models() if not timm.is_model_pretrained(n))
    with pytest.raises(UserError, match="publishes no weights"):
        timm_zoo.weights(Card(network=f"timm:{name}"), download=True)
    assert timm_zoo.facts(Card(network=f"timm:{name}")).input is None
