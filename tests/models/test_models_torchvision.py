"""A torchvision name means torchvision's network, weights and transforms, whoever loads them."""

import copy
import functools
import http.server
import re
import socket
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision import models

from vision_evals.core.errors import UnavailableError, UserError
from vision_evals.images.labels import class_map
from vision_evals.models import download, torchvision
from vision_evals.models.build import build, unavailable
from vision_evals.models.card import Card
from vision_evals.models.registry import torchvision_names
from vision_evals.models.source import Blueprint
from vision_evals.models.weights_file import sha256_of

SMALL = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
CARD = Card(network="torchvision:squeezenet1_1")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub" / "checkpoints"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of squeezenet's weights, whose name ends in its hash as the published ones do."""
    state = models.squeezenet1_1(weights=None).state_dict()
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    digits = sha256_of(tmp_path / "a.pth")[:8]
    (tmp_path / "served").mkdir()
    named = (tmp_path / "a.pth").rename(tmp_path / "served" / f"squeezenet1_1-{digits}.pth")
    monkeypatch.setattr(SMALL.value, "url", f"https://weights.invalid/models/{named.name}")
    return named


@pytest.fixture
def server(file: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


def cached(file: Path, cache: Path) -> Path:
    cache.mkdir(parents=True)
    return file.rename(cache / file.name)


def state_in_the_file(name: str) -> dict[str, Tensor]:
    """Random weights under the names that the published file has."""
    heads = {"aux_logits": True} if name in ("googlenet", "inception_v3") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state: dict[str, Tensor] = models.get_model(name, weights=None, **heads).state_dict()
    if not name.startswith("densenet"):
        return state
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))([12]\.)")
    return OrderedDict(
        (old.sub(r"\1.\2", key), tensor)
        for key, tensor in state.items()
        if not key.endswith("num_batches_tracked")
    )


@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "densenet121",
        "googlenet",
        "inception_v3",
        "mnasnet0_5",
        "mobilenet_v3_small",
        "squeezenet1_1",
    ],
)
def test_networks_are_what_torchvision_builds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state = state_in_the_file(name)
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda *_, **__: copy.copy(state))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = models.get_model(name, weights="DEFAULT").eval()
    actual, _ = torchvision.network(
        Blueprint(Card(network=f"torchvision:{name}"), Path(), state, 1000, "")
    )
    actual.eval()
    assert repr(actual) == repr(expected)
    plain = {key: value for key, value in vars(expected).items() if key[0] != "_"}
    assert {key: vars(actual)[key] for key in plain} == plain
    assert actual.state_dict().keys() == expected.state_dict().keys()
    pixels = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(actual(pixels), expected(pixels))


def test_transformers_have_the_side_of_their_weights() -> None:
    card = Card(network="torchvision:vit_b_16", weights="IMAGENET1K_SWAG_E2E_V1")
    state = models.vit_b_16(weights=None, image_size=384).state_dict()
    assert torchvision.network(Blueprint(card, Path(), state, 1000, ""))[0].image_size == 384


@pytest.mark.parametrize("name", torchvision_names())
def test_facts_are_what_the_weights_publish(name: str) -> None:
    names = class_map("imagenet", Path()).names
    for published in models.get_model_weights(name):
        if published.name == "IMAGENET1K_FEATURES":
            continue
        assert tuple(published.meta["categories"]) == names
        card = Card(network=f"torchvision:{name}", weights=published.name)
        facts, transforms = torchvision.facts(card), published.transforms()
        assert facts.input is not None
        assert [facts.input.resize] == transforms.resize_size
        assert [facts.input.crop] == transforms.crop_size
        assert facts.input.interpolation == transforms.interpolation.value
        assert (list(facts.input.mean), list(facts.input.std)) == (transforms.mean, transforms.std)
        metrics = published.meta["_metrics"]["ImageNet-1K"]
        assert facts.published["top1_accuracy"] == pytest.approx(metrics["acc@1"] / 100)
        assert facts.published["top5_accuracy"] == pytest.approx(metrics["acc@5"] / 100)
    assert torchvision.facts(Card(network=f"torchvision:{name}")).input is not None


def test_a_cached_file_makes_a_classifier(file: Path, cache: Path) -> None:
    there = cached(file, cache)
    assert unavailable(CARD, Path()) is None
    built = build("a", CARD, Path(), download=False)
    assert built.weights == "torchvision SqueezeNet1_1_Weights.IMAGENET1K_V1"
    assert built.sha256 == sha256_of(there)
    assert built.published == {"top1_accuracy": 0.58178, "top5_accuracy": 0.80624}
    assert str(built.geometry) == "resize 256 bilinear, crop 224"


def test_a_cached_file_is_verified(file: Path, cache: Path) -> None:
    there = cached(file, cache)
    content = bytearray(there.read_bytes())
    content[-100] ^= 1
    there.write_bytes(content)
    with pytest.raises(UserError, match=r"wrong file: its sha256 is .*fetch it again") as raised:
        build("a", CARD, Path(), download=True)
    assert str(there) in str(raised.value)


def test_nothing_is_downloaded_unasked(file: Path, cache: Path) -> None:
    with pytest.raises(UnavailableError) as raised:
        build("a", CARD, Path(), download=False)
    assert f"{file.name} is not in {cache}" in str(raised.value)
    assert unavailable(CARD, Path()) == f"{file.name} is not in {cache}"
    assert not cache.exists()


def test_a_download_when_asked(
    file: Path, cache: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SMALL.value, "url", f"{server}/{file.name}")
    socket.setdefaulttimeout(None)
    build("a", CARD, Path(), download=True)
    assert [there.name for there in cache.iterdir()] == [file.name]
    assert socket.getdefaulttimeout() is None


def test_a_download_of_another_file_leaves_nothing(
    file: Path, cache: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(b"<html>")
    monkeypatch.setattr(SMALL.value, "url", f"{server}/{file.name}")
    with pytest.raises(UnavailableError, match="invalid hash value"):
        build("a", CARD, Path(), download=True)
    assert list(cache.iterdir()) == []


def test_a_file_that_the_server_does_not_have(
    file: Path, cache: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SMALL.value, "url", f"{server}/gone-01234567.pth")
    with pytest.raises(UnavailableError, match="404"):
        build("a", CARD, Path(), download=True)


def test_no_network_is_told_within_seconds(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{file.name}"
        monkeypatch.setattr(SMALL.value, "url", url)
        started = time.monotonic()
        with pytest.raises(UnavailableError, match="cannot be downloaded") as raised:
            build("a", CARD, Path(), download=True)
        assert time.monotonic() - started < 3
    assert f"{file.name} is not in {cache}" in str(raised.value)
    assert str(raised.value).endswith("copy the file there")
    assert "127.0.0.1" not in str(raised.value)
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ({"network": "torchvision:alexnt"}, 'network "alexnt"; did you mean "alexnet"'),
        (
            {"network": "torchvision:alexnet", "weights": "IMAGENET1K_V2"},
            'no published weights "IMAGENET1K_V2"; did you mean "IMAGENET1K_V1"',
        ),
        (
            {"network": "torchvision:vgg16", "weights": "IMAGENET1K_FEATURES"},
            'no published weights "IMAGENET1K_FEATURES"',
        ),
    ],
)
def test_unknown_names(card: dict[str, str], says: str) -> None:
    with pytest.raises(UserError) as raised:
        torchvision.facts(Card.model_validate(card))
    assert says in str(raised.value)
