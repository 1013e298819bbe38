"""Dropout switched on: every kind against torch's own, and nothing else of a network changed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from vision_evals.core.errors import InvalidError
from vision_evals.core.rng import generator
from vision_evals.engine.state_guard import Changes, watch
from vision_evals.models.classifier import Classifier
from vision_evals.models.hooks.dropouts import (
    FUNCTIONS,
    LeftOff,
    hidden_dropouts,
    left_off,
    masked_logits,
)

Make = Callable[..., Classifier]


class Through(nn.Module):
    """Keeps what a function makes of ``x``, whatever the pixels are."""

    def __init__(self, x: Tensor, drop: Drop) -> None:
        super().__init__()
        self.x, self.drop = x, drop

    def forward(self, pixels: Tensor) -> Tensor:
        self.came = self.drop(self.x.clone())
        return pixels.mean(dim=(2, 3))


def draws(n: int, *names: str) -> list[torch.Generator]:
    return [generator(0, *names, str(i)) for i in range(n)]


def through(small: Make, x: Tensor, drop: Drop, n: int = 0, calls: int = 1) -> Tensor:
    network = Through(x, drop)
    masked = masked_logits(small(network), torch.zeros(n or len(x), 3, 16, 16), draws(n or len(x)))
    assert masked.calls == calls  # with a rate above 0
    return network.came


def some(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) + 0.5


Drop = Callable[[Tensor], Tensor]
VALUES: dict[str, Drop] = {
    "function": lambda x: F.dropout(x, 0.3, False),
    "in place": lambda x: F.dropout(x, p=0.3, training=False, inplace=True),
    "torch": lambda x: torch.dropout(x, 0.3, False),
    "torch in place": lambda x: torch.dropout_(x, p=0.3, train=False),
    "module": nn.Dropout(0.3).eval(),
}
CHANNELS: dict[str, Drop] = {
    "function": lambda x: F.dropout2d(x, 0.3, False),
    "torch": lambda x: torch.feature_dropout(x, 0.3, False),
    "module": nn.Dropout2d(0.3).eval(),
}


@pytest.mark.parametrize("drop", VALUES.values(), ids=VALUES)
def test_a_value_is_dropped_or_divided_by_what_is_kept(small: Make, drop: Drop) -> None:
    x = some(40, 5, 6, 7)
    came = through(small, x, drop)
    kept = came != 0
    assert torch.equal(came[kept], (x / (1 - 0.3))[kept])
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.02)
    assert torch.equal(
        came, through(small, x, VALUES["function"])
    )  # one mask, however it is asked for


@pytest.mark.parametrize("drop", CHANNELS.values(), ids=CHANNELS)
def test_whole_channels_go(small: Make, drop: Drop) -> None:
    x = some(40, 20, 3, 4)
    share = (through(small, x, drop) != 0).float().mean(dim=(2, 3))
    assert set(share.flatten().tolist()) == {0.0, 1.0}
    assert share.mean().item() == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Dropout1d(0.3), (30, 9, 4)),
        (nn.Dropout3d(0.3), (30, 9, 2, 3, 4)),
        (nn.Dropout1d(0.3), (30, 4)),  # torch takes the images for channels, and so must we
        (nn.Dropout3d(0.3), (30, 2, 3, 4)),
    ],
)
def test_the_shape_of_a_mask_is_torchs(
    small: Make, module: nn.Module, shape: tuple[int, ...]
) -> None:
    x = some(*shape)
    torch.manual_seed(0)
    theirs, ours = module.train()(x.clone()), through(small, x, module.eval())
    for i in range(1, x.dim()):
        along = [bool(((came != 0).float().std(dim=i) == 0).all()) for came in (theirs, ours)]
        assert along[0] == along[1]
    assert 0 < (ours == 0).float().mean() < 1


@pytest.mark.parametrize("module", [nn.AlphaDropout(0.3), nn.FeatureAlphaDropout(0.3)])
def test_alpha_dropout_is_affine_as_torchs(small: Make, module: nn.Module) -> None:
    """Where torch sends 0 and 1, and what it leaves behind, read off its own answers."""
    torch.manual_seed(0)
    lines = [module.train()(torch.full((2000, 1, 1, 1), value)) for value in (0.0, 1.0)]
    floor, *_ = set(lines[0].flatten().tolist()) & set(lines[1].flatten().tolist())
    at0, at1 = (next(v for v in line.flatten().tolist() if v != floor) for line in lines)
    x = some(50, 8, 3, 3)
    came = through(small, x, module.eval())
    dropped = (came - floor).abs() < 1e-6
    torch.testing.assert_close(came[~dropped], (at0 + (at1 - at0) * x)[~dropped])
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.1)


def test_alpha_dropout_keeps_mean_and_variance(small: Make) -> None:
    x = torch.randn(100, 2000, generator=torch.Generator().manual_seed(0))
    came = through(small, x, nn.AlphaDropout(0.2).eval())
    assert came.mean().item() == pytest.approx(0, abs=0.02)
    assert came.var().item() == pytest.approx(1, abs=0.02)


def test_the_mean_of_many_masks_of_a_linear_layer(small: Make) -> None:
    """E = w.x and Var = p / (1 - p) * sum w^2 x^2, for 4,000 masks of one image."""
    n, p = 4000, 0.4
    torch.manual_seed(0)
    linear = nn.Linear(768, 3)
    network = nn.Sequential(nn.Flatten(), nn.Dropout(p), linear)
    image = some(1, 3, 16, 16) - 0.5
    came = masked_logits(small(network), image.expand(n, -1, -1, -1), draws(n)).logits.detach()
    mean = linear(image.flatten(1))[0].detach()
    variance = p / (1 - p) * (linear.weight.detach() ** 2 @ image.flatten() ** 2)
    assert ((came.mean(dim=0) - mean).abs() < 4 * (variance / n).sqrt()).all()
    assert (came.var(dim=0) / variance).tolist() == pytest.approx([1] * 3, abs=0.1)


@pytest.mark.parametrize(
    "drop",
    [VALUES["function"], CHANNELS["function"], nn.AlphaDropout(0.3).eval()],
    ids=["values", "channels", "alpha"],
)
@pytest.mark.parametrize("size", [1, 7])
def test_no_batch_changes_a_mask(small: Make, drop: Drop, size: int) -> None:
    x, all_at_once = some(8, 3, 4, 4), draws(8)
    whole, parts = Through(x, drop), []
    masked_logits(small(whole), torch.zeros(8, 3, 16, 16), all_at_once)
    for first in range(0, 8, size):
        part = Through(x[first : first + size], drop)
        n = len(part.x)
        masked_logits(small(part), torch.zeros(n, 3, 16, 16), draws(8)[first : first + n])
        parts.append(part.came)
    assert torch.equal(torch.cat(parts), whole.came)


def test_in_place_writes_where_the_network_will_look(small: Make) -> None:
    def careless(x: Tensor) -> Tensor:
        F.dropout(x, 0.5, False, inplace=True)
        return x

    x = some(4, 50)
    assert torch.equal(through(small, x, careless), through(small, x, nn.Dropout(0.5).eval()))


@pytest.mark.parametrize("function", [F.dropout, F.dropout2d, F.alpha_dropout])
def test_p_zero_is_the_identity_and_p_one_is_nothing(
    small: Make, function: Callable[..., Tensor]
) -> None:
    x = some(3, 4, 5, 5)
    assert torch.equal(through(small, x, lambda x: function(x, 0.0, False), calls=0), x)
    assert not through(small, x, lambda x: function(x, 1.0, False)).any()


class Stays(nn.Module):
    """Drops in eval mode too: once by a default, once by a module made in the forward."""

    def forward(self, pixels: Tensor) -> Tensor:
        x = F.dropout(pixels)
        x = F.dropout(x, 0.1, self.training)
        return nn.Dropout2d(0.25)(x).mean(dim=(2, 3))  # type: ignore[no-any-return]


def test_dropout_that_stays_on_is_named(small: Make) -> None:
    network = nn.Sequential(nn.Identity(), Stays())
    with pytest.raises(InvalidError) as caught:
        masked_logits(small(network), torch.zeros(2, 3, 16, 16), draws(2))
    assert str(caught.value) == (
        "dropout stays on in eval mode: 1, call 1 (p = 0.5); 1, call 3 (p = 0.25); "
        "let the call ask for training=self.training"
    )


def test_dropout_without_effect_does_not_stay_on(small: Make) -> None:
    through(small, x := some(2, 3), lambda x: F.dropout(x, 0.0, True), calls=0)
    assert len(x) == 2


@pytest.mark.parametrize("shape", [(6, 4), (3, 2, 4)])
def test_values_that_belong_to_no_image(small: Make, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidError, match=r"network, call 1 drops from .* for 2 images"):
        through(small, some(*shape), lambda x: F.dropout(x, 0.5, False), n=2)


def test_nothing_else_changes(small: Make) -> None:
    """Modes, BatchNorm's buffers, weights, hooks and global generators."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(3)
    )
    classifier = small(network)
    pixels = some(5, 3, 16, 16)
    eval_mode = classifier.logits(pixels)
    changes, before = Changes(), torch.get_rng_state()
    with watch({"small": network}, changes):
        under = masked_logits(classifier, pixels, draws(5)).logits
        assert torch.equal(torch.get_rng_state(), before)
    assert changes.by_alias == {}
    assert not torch.allclose(under, eval_mode)
    assert torch.equal(classifier.logits(pixels), eval_mode)


def test_every_function_of_torch_is_known() -> None:
    names = {name for name in dir(torch) if name.removesuffix("_").endswith("dropout")}
    names -= {name for name in names if name.startswith("_")} | {"native_dropout"}
    assert {getattr(torch, name) for name in names} < FUNCTIONS
    assert {getattr(F, name) for name in dir(F) if "dropout" in name} < FUNCTIONS


def test_what_is_left_off() -> None:
    class DropPath(nn.Module):
        def __init__(self, rate: float) -> None:
            super().__init__()
            self.drop_prob = rate

    network = nn.Sequential(
        nn.Dropout(0.5),
        torchvision.ops.StochasticDepth(0.2, "row"),
        torchvision.ops.StochasticDepth(0.0, "row"),
        DropPath(0.1),
        DropPath(0.0),
        nn.MultiheadAttention(4, 2, dropout=0.1),
        nn.MultiheadAttention(4, 2),
    )
    assert hidden_dropouts(network) == (
        "1 (StochasticDepth)",
        "3 (DropPath)",
        "5 (MultiheadAttention)",
    )


class Attention(nn.Module):
    """Attention over the pixels of 16 x 16 as rows, as many vision transformers write it."""

    def __init__(self, attend: Callable[..., Tensor], rate: float = 0.1) -> None:
        super().__init__()
        self.attend, self.attn_drop, self.proj_drop = attend, nn.Dropout(rate), nn.Dropout(0.5)
        self.rate, self.multi = rate, nn.MultiheadAttention(16, 2, dropout=0.0)
        self.later, self.norm = nn.Sequential(nn.Dropout(0.2)), nn.BatchNorm1d(3)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        rows = self.attend(self, self.norm(pixels.mean(dim=3)).unflatten(2, (1, 16)))
        return self.proj_drop(rows.flatten(2).mean(dim=2) * torch.ones(3))  # type: ignore[no-any-return]


def of_the_mode(net: Attention, x: Tensor) -> Tensor:
    rate = net.attn_drop.p if net.training else 0.0
    return F.scaled_dot_product_attention(x, x, net.later(x), dropout_p=rate)


def by_place(net: Attention, x: Tensor) -> Tensor:
    net.later(x)
    net.attn_drop(x)
    return F.scaled_dot_product_attention(x, x, x, None, net.rate * net.training)


def of_the_module(net: Attention, x: Tensor) -> Tensor:
    rate = net.attn_drop.p if net.attn_drop.training else 0.0
    return F.scaled_dot_product_attention(x, x, net.later(x), dropout_p=rate)


def many_heads(net: Attention, x: Tensor) -> Tensor:
    one, multi = net.attn_drop(net.later(x))[:, :, 0], net.multi
    return F.multi_head_attention_forward(
        *(one, one, one, 16, 2, multi.in_proj_weight, multi.in_proj_bias, None, None, False),
        *(0.1, multi.out_proj.weight, multi.out_proj.bias),
        training=net.training,
    )[0]


def never(net: Attention, x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, net.attn_drop(net.later(x)))


@pytest.mark.parametrize(
    ("attend", "rate", "wanted"),
    [
        (of_the_mode, 0.1, LeftOff(("attn_drop",), ("network",))),
        (of_the_mode, 0.0, LeftOff((), ())),
        (by_place, 0.1, LeftOff((), ("network",))),
        (by_place, 0.0, LeftOff((), ())),
        (of_the_module, 0.1, LeftOff(("attn_drop",), ())),
        (many_heads, 0.1, LeftOff((), ("network",))),
        (never, 0.1, LeftOff((), ())),
        (lambda _, x: x, 0.1, LeftOff(("attn_drop", "later.0"), ())),
    ],
)
def test_rates_inside_fused_functions_and_modules_that_are_not_called(
    attend: Callable[..., Tensor], rate: float, wanted: LeftOff, small: Callable[..., Classifier]
) -> None:
    network = Attention(attend, rate)
    state = copy.deepcopy(network.state_dict())
    assert left_off(small(network), torch.rand(1, 3, 16, 16)) == wanted
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())


def test_a_head_that_training_alone_uses_is_no_part_of_the_answer(
    small: Callable[..., Classifier],
) -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.5)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.auxiliary = Head()

        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.mean(dim=(2, 3))

    assert left_off(small(Net()), torch.rand(1, 3, 16, 16)) == LeftOff((), ())


def test_a_network_that_refuses_the_mode_is_left_undecided(
    small: Callable[..., Classifier],
) -> None:
    def refusing(net: Attention, x: Tensor) -> Tensor:
        assert not net.training, "only for answers"
        return never(net, x)

    found = left_off(small(Attention(refusing)), torch.rand(1, 3, 16, 16))
    assert found == LeftOff((), ("network",))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_are_seen(
    kind: Callable[..., nn.Module], small: Callable[..., Classifier]
) -> None:
    class Rows(nn.Module):
        def __init__(self, rate: float) -> None:
            super().__init__()
            self.rows = kind(16, 3, num_layers=2, dropout=rate, batch_first=True)

        def forward(self, pixels: Tensor) -> Tensor:
            return self.rows(pixels.mean(dim=1))[0].mean(dim=1)  # type: ignore[no-any-return]

    for rate, fused in ((0.1, ("rows",)), (0.0, ())):
        network = Rows(rate).eval()
        assert left_off(small(network), torch.rand(1, 3, 16, 16)) == LeftOff((), fused)
