"""Dead ReLUs against hooks written by hand, and networks whose dead units are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as Picture
from torch import Tensor, nn
from torchvision import models

from vision_evals.core.errors import InvalidError, NotApplicableError
from vision_evals.images import sources
from vision_evals.images.image_set import ImageSet
from vision_evals.log import Metric
from vision_evals.measures.dead_relu import MEASURE, Parameters, units
from vision_evals.measures.measure import Subject
from vision_evals.measures.probe import Probe
from vision_evals.models.classifier import Classifier

Small = Callable[..., Classifier]
Rows = Callable[..., pd.DataFrame]


@pytest.fixture
def image_set(tmp_path: Path) -> ImageSet:
    """Return 24 pictures of noise, 16 x 16, without labels."""
    rng = np.random.default_rng(0)
    for index in range(24):
        noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Picture.fromarray(noise).save(tmp_path / f"{index:02d}.png")
    return sources.load(str(tmp_path), Path())


def metrics(rows: pd.DataFrame, images: int) -> dict[str, Metric]:
    found = MEASURE.summarise(rows, Parameters(), Subject("small", None, 0, images))
    return {metric.name: metric for metric in found}


def probe(classifier: Classifier, n: int = 4, **more: int) -> Probe:
    torch.manual_seed(0)
    pixels = torch.rand(n, 3, 16, 16)
    return Probe(classifier, tuple(map(str, range(n))), pixels, None, **more)  # type: ignore[arg-type]


class Modules(nn.Module):
    """Two rectified layers, written with modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first = nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True)
        self.dense, self.second = nn.Linear(8, 16), nn.ReLU()
        self.out = nn.Linear(16, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        mean = self.first(self.conv(pixels)).mean(dim=(2, 3))
        logits: Tensor = self.out(self.second(self.dense(mean)))
        return logits


class Functions(Modules):
    """The same, written with functions, each in another way."""

    def forward(self, pixels: Tensor) -> Tensor:
        mean = self.conv(pixels).clamp(min=0).mean(dim=(2, 3))
        logits: Tensor = self.out(F.relu(self.dense(mean)))
        return logits


def two_ways() -> tuple[Modules, Functions]:
    torch.manual_seed(1)
    modules, functions = Modules(), Functions()
    with torch.no_grad():
        for layer, some, much in ((modules.conv, slice(3), 5), (modules.dense, slice(0, 16, 2), 2)):
            assert layer.bias is not None
            layer.bias[some] -= much
    functions.load_state_dict(modules.state_dict())
    return modules, functions


def by_hooks(network: nn.Module, pixels: Tensor) -> list[Tensor]:
    """Return whether each unit of each ``nn.ReLU`` is dead, call by call, from forward hooks."""
    found: list[Tensor] = []

    def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        moved = output.movedim(1, 0).flatten(1)
        found.append(moved.amax(dim=1) <= 0)

    hooks = [m.register_forward_hook(hook) for m in network.modules() if isinstance(m, nn.ReLU)]
    with torch.no_grad():
        network(pixels)
    for handle in hooks:
        handle.remove()
    return found


def dead(rows: pd.DataFrame) -> list[list[bool]]:
    by_call = rows.groupby(["layer", "call"], sort=False)
    return [list(one.sort_values("unit")["highest"] <= 0) for _, one in by_call]


def test_equals_hooks_on_alexnet(small: Small) -> None:
    torch.manual_seed(0)
    alexnet = models.alexnet(weights=None).eval()
    pixels = torch.rand(4, 3, 224, 224)
    base = small(alexnet)
    rows = pd.DataFrame(
        {
            name: np.asarray(column)
            for name, column in MEASURE.observe(
                replace(probe(_thousand(base)), pixels=pixels), Parameters()
            ).items()
        }
    )
    expected = by_hooks(alexnet, base._normalise(pixels))
    assert [bool(one.any()) for one in expected].count(True) >= 2  # or the test says little
    assert dead(rows) == [one.tolist() for one in expected]
    assert list(dict.fromkeys(rows["layer"])) == [
        *(f"features.{i}" for i in (1, 4, 7, 9, 11)),
        *(f"classifier.{i}" for i in (2, 5)),
    ]


def _thousand(classifier: Classifier) -> Classifier:
    names = tuple(map(str, range(1000)))
    return replace(classifier, classes=replace(classifier.classes, names=names))


def test_modules_and_functions_have_the_same_dead_units(
    small: Small, image_set: ImageSet, rows_of: Rows
) -> None:
    modules, functions = two_ways()
    one, other = (
        rows_of(MEASURE, Parameters(), small(network), image_set, 5)
        for network in (modules, functions)
    )
    assert dead(one) == dead(other)
    assert sum(map(sum, dead(one))) >= 4
    assert list(dict.fromkeys(other["layer"])) == ["network"]
    assert list(dict.fromkeys(other["call"])) == [1, 2]
    pixels = torch.stack([_pixels(image.path) for image in image_set.images])
    assert dead(one) == [found.tolist() for found in by_hooks(modules, pixels)]


def _pixels(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Picture.open(path))).permute(2, 0, 1) / 255


def test_inception_v3_has_94_calls(small: Small) -> None:
    network = models.inception_v3(weights=None, init_weights=False).eval()
    seen = MEASURE.observe(
        replace(probe(_thousand(small(network)), 1), pixels=torch.rand(1, 3, 299, 299)),
        Parameters(),
    )
    calls = {*zip(seen["layer"].tolist(), seen["call"].tolist(), strict=True)}
    assert len(calls) == 94


@pytest.mark.parametrize("batch_size", [1, 5, 24])
def test_units_that_leave_early_change_no_verdict(
    small: Small, image_set: ImageSet, rows_of: Rows, batch_size: int
) -> None:
    modules, _ = two_ways()
    rows = rows_of(MEASURE, Parameters(), small(modules), image_set, batch_size)
    kept = units(rows, 24).sort_values(["layer", "unit"])
    pixels = torch.stack([_pixels(image.path) for image in image_set.images])
    with torch.no_grad():
        first = modules.conv(pixels).relu()
        second = modules.dense(first.mean(dim=(2, 3))).relu()
    for layer, output in (("first", first.movedim(1, 0).flatten(1)), ("second", second.T)):
        mine = kept[kept["layer"] == layer]
        assert mine["dead"].tolist() == (output.amax(1) <= 0).tolist()
        rare = (output > 0).double().mean(1) < 0.01
        assert mine["mostly_zero"].tolist() == rare.tolist()
        assert mine["constant"].tolist() == [False] * len(output)


def test_rows_do_not_depend_on_the_batches_before(small: Small) -> None:
    modules, _ = two_ways()
    first, second = (MEASURE.observe(probe(small(modules)), Parameters()) for _ in range(2))
    assert len(first["unit"]) == 24
    for name, column in first.items():
        assert np.asarray(column).tolist() == np.asarray(second[name]).tolist()


class Planted(nn.Module):
    """Units of every kind, one each: dead, constant, rare, alive; of ReLU6 one at its ceiling."""

    def forward(self, pixels: Tensor) -> Tensor:
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        one = torch.ones_like(pixels[:, :1])
        rare = torch.zeros_like(one)
        rare[:, :, 0, 0] = mean[:, :, 0, 0]  # 1 of 256 positions
        F.relu(torch.cat([-one, 2 * one, rare, pixels[:, :1]], dim=1))
        F.relu6(torch.cat([7 * one, 5 * one, 8 * pixels[:, :1]], dim=1))
        return pixels.mean(dim=(2, 3))


def test_every_kind_of_unit_is_told(small: Small, image_set: ImageSet, rows_of: Rows) -> None:
    rows = rows_of(MEASURE, Parameters(), small(Planted()), image_set, 7)
    kinds = units(rows, 24).sort_values(["call", "unit"])
    assert kinds["dead"].tolist() == [True, False, False, False, False, False, False]
    assert kinds["constant"].tolist() == [False, True, False, False, True, True, False]
    assert kinds["mostly_zero"].tolist() == [True, False, True, False, False, False, False]
    assert kinds["at_ceiling"].tolist() == [False, False, False, False, True, False, False]
    found = metrics(rows, 24)
    assert (found["dead_fraction"].value, found["dead_fraction"].n) == (1 / 7, 7)
    assert found["dead_fraction_worst_layer"].value == 1 / 4
    assert found["dead_fraction_worst_layer"].reason is not None
    assert found["dead_fraction_worst_layer"].reason.startswith("network, call 1")
    assert (found["saturated_fraction"].value, found["saturated_fraction"].n) == (1 / 3, 3)
    assert found["unseen_firing_rate"].value == 3 / 24
    assert found["always_negative_fraction"].value is None


def test_leaky_units_never_die(small: Small) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.leak, self.prelu = nn.LeakyReLU(), nn.PReLU(3)

        def forward(self, pixels: Tensor) -> Tensor:
            mean = pixels.mean(dim=(2, 3))
            signs = torch.tensor([-1.0, 1.0, -1.0])
            logits: Tensor = self.prelu(self.leak(mean * signs))
            return logits

    seen = MEASURE.observe(probe(small(Network())), Parameters())
    rows = pd.DataFrame({name: np.asarray(column) for name, column in seen.items()})
    found = metrics(rows, 4)
    for name in ("dead_fraction", "dead_fraction_worst_layer", "mostly_zero_fraction"):
        assert found[name].value is None
        assert "never die" in (found[name].reason or "")
    assert (found["always_negative_fraction"].value, found["always_negative_fraction"].n) == (
        4 / 6,
        6,
    )


@pytest.mark.parametrize(
    ("layer", "word"),
    [(nn.Sigmoid(), "sigmoid"), (nn.Tanh(), "tanh"), (nn.GELU(), "gelu"), (nn.SiLU(), "silu")],
)
def test_smooth_activations_are_no_pass(small: Small, layer: nn.Module, word: str) -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), layer)
    with pytest.raises(NotApplicableError, match=rf"{word} \(1 calls\)"):
        MEASURE.observe(probe(small(network)), Parameters())


def test_no_activation_at_all_is_no_pass(small: Small) -> None:
    with pytest.raises(NotApplicableError, match="no call of a rectifier"):
        MEASURE.observe(probe(small()), Parameters())


def test_a_clamp_that_is_no_rectifier_is_not_counted(small: Small) -> None:
    class Network(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return F.hardtanh(pixels.mean(dim=(2, 3)).clamp(-1, 1).clamp(max=5))

    with pytest.raises(NotApplicableError, match="no call of a rectifier"):
        MEASURE.observe(probe(small(Network())), Parameters())


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_torchscript_hides_its_calls(small: Small) -> None:
    scripted = torch.jit.script(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU()))
    with pytest.raises(InvalidError, match="cannot see inside"):
        MEASURE.observe(probe(small(scripted)), Parameters())


def test_evidence_and_plot(small: Small, image_set: ImageSet, rows_of: Rows) -> None:
    rows = rows_of(MEASURE, Parameters(), small(Planted()), image_set)
    finite, evidence = MEASURE.vouch(nn.Identity(), rows)
    assert (finite.outcome, evidence.outcome) == ("passed", "passed")
    assert evidence.evidence == "2 calls with 7 units"
    (plot,) = MEASURE.plots(rows, Parameters(), Subject("a", None, 0, 7))
    assert plot.ticks == ("network, call 1", "network, call 2")
    assert plot.lines[0].y == (0.25, 0.0)
    assert plot.lines[0].n == (4, 3)
    assert "on 7 images" in plot.about
    assert MEASURE.vouch(nn.Identity(), rows.iloc[:0])[1].outcome == "failed"


class Broken(nn.Module):
    """Bright units of bright pictures are not numbers; the logits are."""

    def forward(self, pixels: Tensor) -> Tensor:
        mean = pixels.mean(dim=(2, 3))
        F.relu(torch.where(mean > 0.5, torch.nan, mean))
        return mean


def test_what_is_no_number_is_not_dead(small: Small, image_set: ImageSet, rows_of: Rows) -> None:
    rows = rows_of(MEASURE, Parameters(), small(Broken()), image_set, 3)
    assert MEASURE.vouch(nn.Identity(), rows)[0].outcome == "failed"
    whole = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    bad = replace(probe(small(whole)), pixels=torch.full((4, 3, 16, 16), torch.nan))
    with pytest.raises(InvalidError, match="logits of 0 are NaN"):
        MEASURE.observe(bad, Parameters())


def test_a_shard_may_have_nothing_more_to_say(small: Small, tmp_path: Path, rows_of: Rows) -> None:
    for index in range(300):  # more than a shard
        Picture.new("RGB", (16, 16), (index % 250, 9, 99)).save(tmp_path / f"{index:03d}.png")
    alive = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    many = sources.load(str(tmp_path), Path())
    rows = rows_of(MEASURE, Parameters(), small(alive), many, 50)
    assert metrics(rows, 300)["constant_fraction"].value == 2 / 3  # green and blue
    varied = rows[rows["unit"] == 0]
    assert int(varied["positive"].iloc[0]) < 299 * 256  # it left before the last shard


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 4)

    def forward(self, pixels: Tensor) -> Tensor:
        rows = F.relu(self.dense(pixels.permute(0, 2, 3, 1)))  # (n, height, width, 4)
        F.relu(torch.ones(4))  # of no image
        return rows.mean(dim=(1, 2))[:, :3]


def test_units_are_where_the_layer_before_put_them(small: Small) -> None:
    seen = MEASURE.observe(probe(small(ChannelsLast())), Parameters())
    assert len(seen["unit"]) == 4
    assert set(np.asarray(seen["positions"]).tolist()) == {256}

    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv1d(3, 5, 1)

        def forward(self, pixels: Tensor) -> Tensor:
            mean: Tensor = F.relu(self.convolution(pixels.flatten(2))).mean(dim=2)[:, :3]
            return mean

    seen = MEASURE.observe(probe(small(Line())), Parameters())
    assert len(seen["unit"]) == 5


def test_tokens_are_observations(small: Small) -> None:
    class Tokens(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            tokens = pixels.flatten(2).transpose(1, 2)  # (n, 256, 3)
            return F.relu(tokens - torch.tensor([2.0, 0.0, 0.0])).mean(dim=1)

    seen = MEASURE.observe(probe(small(Tokens())), Parameters())
    assert (np.asarray(seen["highest"]) <= 0).tolist() == [True, False, False]
    assert set(np.asarray(seen["positions"]).tolist()) == {256}


def test_packaged_networks(packaged: Classifier, samples: ImageSet, rows_of: Rows) -> None:
    rows = rows_of(MEASURE, Parameters(), packaged, samples)
    found = metrics(rows, 20)
    calls, count = {
        "squeezenet1_1_caffe": (26, 3944),
        "efficientnet_lite0": (33, 19200),
    }[packaged.alias]
    assert (len(rows.groupby(["layer", "call"])), len(rows)) == (calls, count)
    value = found["dead_fraction"].value
    assert value is not None
    assert 0 < value < 0.1
