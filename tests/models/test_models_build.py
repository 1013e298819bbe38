"""What a card describes is built, and every mistake in it has a repair."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torchvision import models

from vision_evals.core.errors import UnavailableError, UserError
from vision_evals.models.build import build, unavailable
from vision_evals.models.card import Card, Input
from vision_evals.models.listing import ListedModel, list_models
from vision_evals.models.registry import PACKAGED, Registry, torchvision_names

INPUT = Input(resize=9, crop=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
NETS = """
import torch
from torch import nn

number = 3

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x.mean((2, 3)))

def build():
    return Small()

def build_dict():
    return {}

def build_broken():
    raise KeyError("layers")

def build_with(classes):
    return Small()

class Silent(Small):
    def train(self, mode=True):
        super().train(mode)

def build_silent():
    return Silent()

def build_half():
    return Small().half()

def build_bf16():
    return Small().bfloat16()

def build_double():
    return Small().double()

def build_meta():
    with torch.device("meta"):
        return Small()

def build_tuple():
    return Small(), "preprocessing"

def build_nan():
    network = Small()
    nn.init.constant_(network.layer.bias, float("nan"))
    return network
"""


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "own_nets.py").write_text(NETS)
    (tmp_path / "own_broken.py").write_text("import own_missing_dependency\n")
    (tmp_path / "own_syntax.py").write_text("def build(:\n")
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def own(function: str = "own_nets:build", **keys: object) -> Card:
    return Card.model_validate(
        {"network": function, "input": INPUT, "classes": "classes.txt", **keys}
    )


def refused(card: Card, base: Path, checkpoint: Path | None = None) -> str:
    with pytest.raises(UserError) as raised:
        build("mine", card, base, download=False, checkpoint=checkpoint)
    assert str(raised.value).startswith("mine: ")
    return str(raised.value)


def test_a_network_of_the_users_own(base: Path) -> None:
    paths, state = list(sys.path), torch.random.get_rng_state()
    built = build("mine", own(published={"top1_accuracy": 0.5}), base, download=False)
    assert sys.path == paths
    assert torch.equal(torch.random.get_rng_state(), state)
    assert built.logits(torch.rand(4, 3, 8, 8)).shape == (4, 2)
    assert not built.network.training
    assert not any(parameter.requires_grad for parameter in built.network.parameters())
    assert (built.weights, built.sha256, built.parameters) == ("built by own_nets:build", None, 8)
    assert built.published == {"top1_accuracy": 0.5}
    assert built.classes.names == ("ant", "bee")
    again = build("mine", own(), base, download=False)
    assert again.fingerprint == built.fingerprint


def test_a_network_whose_train_returns_nothing(base: Path) -> None:
    built = build("mine", own("own_nets:build_silent"), base, download=False)
    assert not any(module.training for module in built.network.modules())
    assert built.logits(torch.rand(4, 3, 8, 8)).shape == (4, 2)


@pytest.mark.parametrize("kind", ["half", "bf16", "double"])
def test_a_network_of_another_precision_is_judged_in_it(base: Path, kind: str) -> None:
    """Its logits are those of the bare network, fed with pixels of its own type."""
    built = build("mine", own(f"own_nets:build_{kind}"), base, download=False)
    (weight, _) = built.network.parameters()
    assert weight.dtype == built.dtype != torch.float32
    pixels = torch.rand(4, 3, 8, 8, requires_grad=True)
    logits = built.logits(pixels)
    assert logits.dtype == (torch.float64 if kind == "double" else torch.float32)
    own_type = ((pixels.detach() - 0.5) / 0.5).to(weight.dtype)
    assert torch.equal(logits.detach(), built.network(own_type).to(logits.dtype))
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), pixels)
    assert gradient.dtype == torch.float32
    assert torch.allclose(gradient[0, :, 0, 0], weight[0].float() / 0.5 / 64, rtol=0.01)


def test_a_prefix_in_its_checkpoint_is_said(base: Path) -> None:
    state = {"model.layer.weight": torch.rand(2, 3), "model.layer.bias": torch.rand(2)}
    torch.save({"state_dict": state}, base / "last.ckpt")
    built = build("mine", own(checkpoint="last.ckpt"), base, download=False)
    assert torch.equal(built.network.state_dict()["layer.bias"], state["model.layer.bias"])
    assert built.taken_off == 'the prefix "model." was taken off the names'


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_its_checkpoint(base: Path, suffix: str) -> None:
    state = {"layer.weight": torch.rand(2, 3), "layer.bias": torch.rand(2)}
    file = base / "runs" / f"epoch_12{suffix}"
    file.parent.mkdir()
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(state, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    card = own(checkpoint=f"runs/epoch_12{suffix}", sha256=sha256)
    built = build("mine", card, base, download=False)
    assert torch.equal(built.network.state_dict()["layer.bias"], state["layer.bias"])
    assert (built.weights, built.sha256) == (f"file epoch_12{suffix}", sha256)
    assert unavailable(card, base) is None
    put = build("mine", own(sha256="0" * 64), base, download=False, checkpoint=file)
    assert put.fingerprint == built.fingerprint


def test_a_checkpoint_in_a_published_network_keeps_its_preprocessing(base: Path) -> None:
    torch.save(models.squeezenet1_1(weights=None).state_dict(), base / "a.pt")
    for name in ("torchvision:squeezenet1_1", "packaged:squeezenet1_1_caffe"):
        card = Card(network=name, published={"top1_accuracy": 0.5})
        built = build("mine", card, base, download=False, checkpoint=base / "a.pt")
        assert built.weights == "file a.pt"
        assert built.published == {}
        assert str(built.geometry).endswith("227" if "caffe" in name else "224")


def test_a_published_network_for_other_classes(base: Path) -> None:
    torch.save(models.squeezenet1_1(weights=None, num_classes=2).state_dict(), base / "a.pt")
    card = Card(network="torchvision:squeezenet1_1", checkpoint="a.pt", classes="classes.txt")
    built = build("mine", card, base, download=False)
    assert built.logits(torch.rand(1, 3, 224, 224)).shape == (1, 2)


def test_other_input_is_not_what_was_published(base: Path) -> None:
    card = Card(network="packaged:squeezenet1_1_caffe", input=INPUT)
    assert build("mine", card, base, download=False).input == INPUT


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (own("own_nest:build"), "cannot import own_nest: ModuleNotFoundError"),
        (own("own_broken:build"), "No module named 'own_missing_dependency'"),
        (own("own_syntax:build"), "cannot import own_syntax: SyntaxError"),
        (own("own_nets:biuld"), 'has no function "biuld"; did you mean "build"'),
        (own("own_nets:number"), "is not a function that builds a network"),
        (own("own_nets:build_dict"), "returned a dict, not a torch.nn.Module"),
        (
            own("own_nets:build_tuple"),
            "returned a tuple, not a torch.nn.Module; return the network",
        ),
        (own("own_nets:build_meta"), "layer.weight is on the meta device, which holds no numbers"),
        (own("own_nets:build_broken"), "own_nets:build_broken() failed: KeyError: 'layers'"),
        (own("own_nets:build_with"), "it must build the network without arguments"),
        (own("own_nets:build_nan"), "'layer.bias' holds 2 NaN or Inf"),
        (own(input=None), 'has no "input"; write how its pictures are resized'),
        (own(checkpoint="gone.pt"), "gone.pt: no such file"),
        (own(checkpoint="own_nets.py"), "neither weights that torch.save wrote"),
    ],
)
def test_mistakes_have_a_repair(card: Card, says: str, base: Path) -> None:
    assert says in refused(card, base)


def test_a_module_that_is_nowhere_names_the_folder(base: Path) -> None:
    assert f"{base} holds no such module" in refused(own("own_nest:build"), base)
    assert "holds no such module" not in refused(own("own_broken:build"), base)


def test_two_modules_of_one_name(base: Path) -> None:
    build("mine", own(), base, download=False)
    other = base / "other"
    other.mkdir()
    (other / "own_nets.py").write_text(NETS.replace("mean", "amax"))
    (other / "classes.txt").write_text("ant\nbee\n")
    message = refused(own(), other)
    assert f"{other / 'own_nets.py'} and {base / 'own_nets.py'} have one name" in message


def test_a_checkpoint_of_another_network(base: Path) -> None:
    torch.save({"layer.weight": torch.rand(5, 3)}, base / "a.pt")
    message = refused(own(), base, base / "a.pt")
    assert "file a.pt for own_nets:build: weights of another network: 1 missing" in message


def test_a_default_that_is_not_there_can_be_skipped(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(base))
    with pytest.raises(UnavailableError):
        build("alexnet", Card(network="torchvision:alexnet"), base, download=False)


def test_the_listing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(base))
    cards = {
        "mine": own().model_dump(mode="json", exclude_none=True),
        "gone": own(checkpoint="gone.pt").model_dump(mode="json", exclude_none=True),
        "wrong": {"network": "own_nets:build"},
    }
    rows = {row.name: row for row in list_models(Registry.read(cards, None, base))}
    recipes = [name for name, row in rows.items() if row.kind == "recipe"]
    assert "small_step" in recipes
    assert list(rows) == [*cards, *recipes, *PACKAGED, *torchvision_names()]
    assert rows["mine"] == ListedModel("mine", "card", None, str(INPUT), None, None)
    assert rows["gone"].unavailable == f"gone.pt is not in {base}"
    assert 'has no "input"' in str(rows["wrong"].unavailable)
    assert rows["squeezenet1_1_caffe"].unavailable is None
    alexnet = rows["alexnet"]
    assert (alexnet.kind, alexnet.top1, alexnet.top5) == ("torchvision", 0.56522, 0.79066)
    assert str(alexnet.unavailable).startswith("alexnet-owt-7be5be79.pth is not in")
    assert alexnet.input.startswith("resize 256 bilinear, crop 224")


ODD = """
import torch
from own_nets import Small

class Odd(Small):
    def eval(self):
        raise error

def build():
    global error
    error = KIND("odd")
    return Odd()

def build_here():
    raise KIND("odd")
"""


@pytest.mark.parametrize("kind", ["RuntimeError", "KeyError", "AssertionError", "SystemExit"])
def test_whatever_a_network_raises_names_the_classifier_and_the_cause(
    base: Path, kind: str
) -> None:
    (base / "own_odd.py").write_text(ODD.replace("KIND", kind))
    message = refused(own("own_odd:build"), base)
    assert message.startswith("mine: own_odd:build cannot be built: ")
    assert f"{kind}: " in message
    assert "odd" in message


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("function", ["build", "build_here"])
def test_what_is_no_mistake_of_the_network_passes_through(
    base: Path, kind: type[BaseException], function: str
) -> None:
    word = "torch.OutOfMemoryError" if kind is torch.OutOfMemoryError else kind.__name__
    (base / "own_odd.py").write_text(ODD.replace("KIND", word))
    with pytest.raises(kind):
        build("mine", own(f"own_odd:{function}"), base, download=False)


def test_a_network_without_shapes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lazy_nets.py").write_text(
        "from torch import nn\ndef build():\n    return nn.LazyLinear(3)\n", encoding="utf-8"
    )
    given = Input(resize=9, crop=8, mean=(0, 0, 0), std=(1, 1, 1))
    with pytest.raises(UserError, match="has no shape before a first forward"):
        build("lazy", Card(network="lazy_nets:build", input=given), tmp_path, download=False)
