"""A classifier gives one row of logits a picture, and one fingerprint to each behaviour."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vision_evals.cli.selftest.mutant import with_step
from vision_evals.core.errors import UserError
from vision_evals.images.labels import ClassMap
from vision_evals.models.card import Card, Input
from vision_evals.models.classifier import Classifier, Normalise
from vision_evals.models.fast_path.fast_path import FastPath
from vision_evals.models.fast_path.policy import FastPathPlan
from vision_evals.models.fingerprint import fingerprint, sources

INPUT = Input(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CARD = Card(network="nets:build", input=INPUT)
PLAIN = FastPathPlan("fp32")


class Toy(nn.Module):
    def __init__(self, answer: Callable[[Tensor], object] = lambda logits: logits) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 4, generator=generator), requires_grad=False)
        self.register_buffer("hidden", torch.ones(1), persistent=False)
        self.answer = answer

    def forward(self, x: Tensor) -> object:
        return self.answer(x.mean((2, 3)) @ self.weight)


def classifier(network: nn.Module) -> Classifier:
    return Classifier(
        alias="toy",
        card=CARD,
        network=network,
        input=INPUT,
        classes=ClassMap("animals", ("ant", "bee", "cat", "dog"), None),
        fingerprint="",
        weights="",
        sha256=None,
        published={},
    )


def test_logits_are_of_normalised_pixels_and_have_gradients() -> None:
    toy = Toy()
    pixels = torch.rand(5, 3, 8, 8, requires_grad=True)
    logits = classifier(toy).logits(pixels)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (INPUT.mean, INPUT.std))
    assert torch.equal(logits, toy((pixels - mean) / std))
    torch.autograd.backward(logits.sum())
    assert pixels.grad is not None
    assert toy.weight.grad is None


def test_moving_keeps_everything_else() -> None:
    before = classifier(Toy())
    after = before.to("cpu")
    pixels = torch.rand(1, 3, 4, 4)
    assert torch.equal(before.logits(pixels), after.logits(pixels))
    assert after.geometry == before.geometry == INPUT.geometry


OTHER = "cuda" if torch.cuda.is_available() else "meta"
"""A device that is not the CPU: a tensor on each of the two cannot be computed with."""


class Rule(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x[:, :1]], dim=1).mean((2, 3))


class Buffers(Rule):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.full((4,), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.get_buffer("factor")


class Integers(Buffers):
    def __init__(self) -> None:
        super().__init__()
        self.order = nn.Parameter(torch.tensor([3, 2, 1, 0]), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(4), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, self.order] * self.scale


class Elsewhere(Buffers):
    """Its first parameter never leaves the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = nn.Parameter(torch.ones(4), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(4), requires_grad=False)

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> "Elsewhere":
        kept = self._parameters.pop("kept")
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._parameters = {"kept": kept, **self._parameters}
        return self

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class Late(Rule):
    """Has a parameter from its first forward on."""

    def forward(self, x: Tensor) -> Tensor:
        if not list(self.parameters()):
            self.scale = nn.Parameter(torch.full((4,), 3.0, device=x.device), requires_grad=False)
        return super().forward(x) * self.scale


def lazy() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(4))


LATER = pytest.param(
    lazy, marks=pytest.mark.skipif(OTHER == "meta", reason="torch makes no lazy weights on meta")
)


@pytest.mark.parametrize("build", [Rule, Buffers, Integers, Elsewhere, Late, LATER])
def test_it_computes_on_the_device_that_it_was_told(build: Callable[[], nn.Module]) -> None:
    pixels = torch.rand(2, 3, 8, 8)
    network = build()
    there = classifier(network).to(OTHER)
    logits = there.logits(pixels.to(OTHER))
    assert there.device.type == logits.device.type == OTHER
    assert FastPath(there, PLAIN).record().device == OTHER
    # a copy of the classifier and a mistake made in one are where it is
    for other in (replace(there, alias="other"), with_step(there, Normalise(INPUT))):
        assert other.logits(pixels.to(OTHER)).device.type == OTHER
    if OTHER != "meta":
        assert torch.allclose(logits.cpu(), there.to("cpu").logits(pixels))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda x: (x, x[:, :2]), "tuple of a tensor of shape (2, 4), a tensor of shape (2, 2)"),
        (lambda x: {"logits": x}, "a dict"),
        (lambda x: x[:, :3], "a tensor of shape (2, 3)"),
        (lambda x: x[:1], "a tensor of shape (1, 4)"),
        (lambda x: x[..., None], "a tensor of shape (2, 4, 1)"),
        (lambda _: None, "a NoneType"),
    ],
    ids=["tuple", "dict", "columns", "rows", "dimensions", "nothing"],
)
def test_anything_but_logits_is_refused(answer: Callable[[Tensor], object], says: str) -> None:
    with pytest.raises(UserError) as raised:
        classifier(Toy(answer)).logits(torch.rand(2, 3, 4, 4))
    assert str(raised.value).startswith("toy: for 2 pictures the network returns " + says)
    assert "not logits of shape (2, 4)" in str(raised.value)


def of(network: nn.Module, given: Input = INPUT, classes: str = "map", card: Card = CARD) -> str:
    return fingerprint(network, given, classes, card)


def test_a_fingerprint_is_stable() -> None:
    assert of(Toy()) == of(Toy()) == of(copy.deepcopy(Toy()))
    assert len(of(Toy())) == 64


def test_a_fingerprint_sees_what_changes_numbers() -> None:
    weight, hidden, shape, kind, mode = Toy(), Toy(), Toy(), Toy(), nn.Sequential(Toy(), nn.ReLU())
    weight.weight.data[0, 0] += 1e-6
    hidden.get_buffer("hidden").add_(1)
    shape.weight.data = shape.weight.data.reshape(4, 3)
    kind.weight.data = kind.weight.data.view(torch.int32)
    all_of_them = [
        of(Toy()),
        of(weight),
        of(hidden),
        of(shape),
        of(mode),
        of(nn.Sequential(Toy(), nn.ReLU6())),
        of(Toy(), given=INPUT.model_copy(update={"crop": 227})),
        of(Toy(), classes="other map"),
        of(Toy(), card=Card(network="other:build")),
    ]
    assert len(set(all_of_them)) == len(all_of_them)
    kind.weight = nn.Parameter(kind.weight.data, requires_grad=False)
    assert of(kind) != of(Toy())


def test_a_fingerprint_does_not_see_which_device_a_network_remembers() -> None:
    found = set()
    for device in ("cpu", "cuda", "cuda:1"):
        toy = Toy()
        vars(toy)["device"] = torch.device(device)
        found.add(of(toy))
    assert len(found) == 1
    assert found != {of(Toy())}


def test_a_fingerprint_does_not_see_addresses_nor_what_a_card_says_of_files() -> None:
    toy, shown = (nn.Sequential(Toy(), nn.ReLU()) for _ in range(2))
    somewhere, elsewhere = object(), object()
    toy[1].extra_repr = somewhere.__repr__  # type: ignore[method-assign]
    shown[1].extra_repr = elsewhere.__repr__  # type: ignore[method-assign]
    assert repr(toy) != repr(shown)
    assert of(toy) == of(shown)
    assert of(toy) == of(toy, card=CARD.model_copy(update={"checkpoint": "elsewhere.pt"}))


def test_sources_are_of_all_own_classes_and_need_not_be_there() -> None:
    made = type("Made", (nn.Module,), {})
    [first, second] = sources(nn.Sequential(Toy(), made(), nn.ReLU()))
    assert "class Toy(nn.Module):" in second + first
    assert "Made" in first + second
