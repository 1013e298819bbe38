"""Each mutant makes the mistake that it says, in a copy, and announces it nowhere."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vision_evals.cli.selftest.mutant import Mutant
from vision_evals.cli.selftest.mutants import MUTANTS
from vision_evals.images.geometry import pixels
from vision_evals.images.image_set import Image as LabelledImage
from vision_evals.images.image_set import collect
from vision_evals.models.card import Input
from vision_evals.models.classifier import Classifier

Array = npt.NDArray[np.float64]
NAMED = {mutant.name: mutant for mutant in MUTANTS}
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


class Net(nn.Module):
    """A convolution, batch normalisation, dropout and three logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 40, 3)
        self.norm = nn.BatchNorm2d(40)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Conv2d(40, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(self.drop(self.norm(self.conv(x)))).mean(dim=(2, 3))
        return found


@pytest.fixture
def whole(small: Callable[..., Classifier]) -> Classifier:
    torch.manual_seed(3)
    network = Net().requires_grad_(requires_grad=False)
    given = Input(resize=20, crop=16, mean=MEAN, std=STD)
    return replace(small(network), input=given)


@pytest.fixture
def batch() -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def made(name: str, classifier: Classifier) -> Classifier:
    assert NAMED[name].applies(classifier) is None
    return NAMED[name].make(classifier)


def fed(
    classifier: Classifier,
    x: Tensor,
    mean: Sequence[float] | Array = MEAN,
    std: Sequence[float] | Array = STD,
) -> Tensor:
    """Return the network's own answer to pixels normalised here, by NumPy."""
    numbers = (x.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    found: Tensor = classifier.network(torch.from_numpy(numbers.astype(np.float32)))
    return found


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_the_classifier_stays_whole_and_its_copy_says_nothing(
    mutant: Mutant, whole: Classifier, batch: Tensor
) -> None:
    state, before = copy.deepcopy(whole.network.state_dict()), whole.logits(batch)
    modes = [module.training for module in whole.network.modules()]
    broken = mutant.make(whole)
    broken.logits(batch)
    assert (broken.card, broken.fingerprint, broken.sha256, broken.alias, broken.weights) == (
        *(whole.card, whole.fingerprint, whole.sha256, whole.alias, whole.weights),
    )
    assert all(torch.equal(state[key], now) for key, now in whole.network.state_dict().items())
    assert [module.training for module in whole.network.modules()] == modes
    assert torch.equal(whole.logits(batch), before)
    own = {id(weight) for weight in whole.network.parameters()}
    assert not any(id(w) in own or w.requires_grad for w in broken.network.parameters())


def test_twenty_names() -> None:
    assert len(NAMED) == len(MUTANTS) == 20


def test_bgr(whole: Classifier, batch: Tensor) -> None:
    assert close(made("bgr", whole).logits(batch), whole.logits(batch.flip(1)))


def test_wrong_mean_and_std(whole: Classifier, batch: Tensor) -> None:
    imagenet = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert close(made("wrong-mean-std", whole).logits(batch), fed(whole, batch, *imagenet))
    right = replace(whole, input=Input(resize=20, crop=16, mean=imagenet[0], std=imagenet[1]))
    caffe = np.array([122.679, 116.669, 104.006]) / 255, np.full(3, 1 / 255)
    assert close(made("wrong-mean-std", right).logits(batch), fed(whole, batch, *caffe))


def test_wrong_mean_and_std_in_the_order_of_the_channels(whole: Classifier, batch: Tensor) -> None:
    given = Input(mean=(1.0, 2.0, 3.0), std=(9.0, 9.0, 9.0), channels="bgr", range=255)
    mutant = made("wrong-mean-std", replace(whole, input=given))
    imagenet = (0.406, 0.456, 0.485), (0.225, 0.224, 0.229)
    assert close(mutant.logits(batch), fed(whole, batch.flip(1), *imagenet))


def test_no_normalisation(whole: Classifier, batch: Tensor) -> None:
    assert close(made("no-normalisation", whole).logits(batch), whole.network(batch))


def test_wrong_range(whole: Classifier, batch: Tensor) -> None:
    assert close(made("wrong-range", whole).logits(batch), fed(whole, batch * 255))
    other = replace(whole, input=Input(mean=(99.0, 99.0, 99.0), std=(9.0, 9.0, 9.0), range=255))
    wanted = fed(whole, batch, (99, 99, 99), (9, 9, 9))
    assert close(made("wrong-range", other).logits(batch), wanted)


def test_shuffled_labels(whole: Classifier, batch: Tensor) -> None:
    classes = replace(whole.classes, synsets=("n00000001", "n00000002", "n00000003"))
    whole = replace(whole, classes=classes)
    broken = made("shuffled-labels", whole)
    assert torch.equal(broken.logits(batch), whole.logits(batch))
    assert broken.classes.names != classes.names
    assert sorted(broken.classes.names) == sorted(classes.names)
    assert broken.classes.synsets is not None
    pairs = dict(zip(classes.names, classes.synsets or (), strict=True))
    assert broken.classes.synsets == tuple(pairs[name] for name in broken.classes.names)


def test_dropout_on_is_dropout_alone(whole: Classifier, batch: Tensor) -> None:
    broken = made("dropout-on", whole)
    assert not torch.equal(broken.logits(batch), broken.logits(batch))
    modes = {type(m): m.training for m in broken.network.modules()}
    assert modes == {Net: False, nn.Conv2d: False, nn.BatchNorm2d: False, nn.Dropout: True}


def test_batchnorm_in_training_mode_uses_the_statistics_of_the_batch(
    whole: Classifier, batch: Tensor
) -> None:
    broken = made("batchnorm-training", whole)
    assert not broken.network.get_submodule("drop").training
    found = broken.logits(batch)
    mapped = whole.network.get_submodule("conv")(
        (batch - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    )
    mean, var = mapped.mean(dim=(0, 2, 3)), mapped.var(dim=(0, 2, 3), unbiased=False)
    normal = (mapped - mean.view(-1, 1, 1)) / (var + 1e-5).sqrt().view(-1, 1, 1)
    assert close(found, whole.network.get_submodule("out")(normal).mean(dim=(2, 3)))


def test_dead_channels_are_two_of_forty_and_no_class(whole: Classifier) -> None:
    broken = made("dead-channels", whole).network.state_dict()
    rows = (broken["conv.weight"].flatten(1) == 0).all(dim=1)
    assert int(rows.sum()) == 2
    assert torch.equal(broken["conv.bias"] == 0, rows)
    left = whole.network.state_dict()
    assert torch.equal(broken["conv.weight"][~rows], left["conv.weight"][~rows])
    assert torch.equal(broken["out.weight"], left["out.weight"])


def test_softmax(whole: Classifier, batch: Tensor) -> None:
    logits = whole.logits(batch).double().numpy()
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(made("softmax", whole).logits(batch).numpy(), wanted, atol=1e-6)


def test_rounding_changes_no_8_bit_picture_and_leaves_no_gradient(whole: Classifier) -> None:
    broken = made("rounding", whole)
    levels = torch.arange(256).float().div(255).repeat(3).view(1, 3, 16, 16)
    assert close(broken.logits(levels), whole.logits(levels))
    variable = levels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(broken.logits(variable).sum(), variable)
    assert not gradient.any()
    assert close(broken.logits(levels + 0.4 / 255), whole.logits(levels))


def test_four_bits_leave_fifteen_values_and_exact_biases(whole: Classifier) -> None:
    broken, left = made("four-bits", whole).network.state_dict(), whole.network.state_dict()
    for name in ("conv.weight", "out.weight"):
        largest = left[name].abs().max()
        steps = broken[name] / largest * 7
        assert torch.allclose(steps, steps.round(), atol=1e-5)
        assert float((broken[name] - left[name]).abs().max()) <= float(largest) / 14 + 1e-6
        assert len(broken[name].unique()) <= 15
    assert torch.equal(broken["conv.bias"], left["conv.bias"])


def test_wrong_crop_shows_the_margin(whole: Classifier) -> None:
    frame = Image.new("RGB", (20, 20), "white")
    frame.paste("black", (2, 2, 18, 18))
    assert int(pixels(frame, whole.geometry).max()) == 0
    broken = made("wrong-crop", whole)
    assert int(pixels(frame, broken.geometry).max()) == 255
    assert (broken.geometry.resize, broken.geometry.crop) == (16, 16)
    tight = replace(whole, input=Input(resize=224, crop=224, mean=MEAN, std=STD))
    assert made("wrong-crop", tight).geometry.resize == 256


@pytest.mark.parametrize("name", ["wrong-crop", "no-antialias", "cv2-resize"])
def test_a_mistake_of_geometry_does_not_announce_itself(name: str, whole: Classifier) -> None:
    """What checks read as in force is what it was; what is shown is not."""
    broken = made(name, whole)
    assert dict(broken.input) == dict(whole.input)
    assert broken.geometry != whole.geometry


def test_channels_die_where_a_twentieth_is_one_and_the_weight_is_a_weight(
    small: Callable[..., Classifier],
) -> None:
    computed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 40, 3))
    for layer in (nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(3, 40, 2), computed):
        network = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        assert NAMED["dead-channels"].applies(small(network)) is not None


def test_no_antialias_picks_where_antialias_blends(whole: Classifier) -> None:
    # columns of black and white: the mean is grey, and four neighbours of every fourth are not
    stripes = np.zeros((80, 80, 3), dtype=np.uint8)
    stripes[:, ::4] = 255
    picture = Image.fromarray(stripes)
    smooth = pixels(picture, whole.geometry).float()
    rough = pixels(picture, made("no-antialias", whole).geometry).float()
    assert float((smooth - 255 / 4).abs().max()) <= 2
    # bilinear without antialias reads columns 4 i + 1 and 4 i + 2 alone: black
    assert float(rough.max()) == 0
    assert "without antialias" in str(made("no-antialias", whole).geometry)
    assert "antialias" not in str(whole.geometry)


def with_classes(whole: Classifier, n: int) -> Classifier:
    classes = replace(whole.classes, names=tuple(map(str, range(n))), synsets=None)
    return replace(whole, classes=classes)


def test_labels_by_folder_order_and_shifted(whole: Classifier) -> None:
    """Folders as `ls` lists them; and a class of nothing in front of the others."""
    twelve = with_classes(whole, 12)
    sorted_as_text = ("0", "1", "10", "11", *"23456789")
    assert made("labels-by-folder-order", twelve).classes.names == sorted_as_text
    assert NAMED["labels-by-folder-order"].applies(with_classes(whole, 10)) is not None
    assert made("labels-shifted", twelve).classes.names == (*map(str, range(1, 12)), "0")


def test_every_second_picture_is_missing(whole: Classifier, batch: Tensor) -> None:
    broken = NAMED["every-second-picture-missing"]
    assert torch.equal(broken.make(whole).logits(batch), whole.logits(batch))
    assert broken.pictures is not None
    images = collect("five", tuple(LabelledImage(str(i), Path(str(i))) for i in range(5)))
    left = broken.pictures(images)
    assert ([image.id for image in left.images], left.cut) == (["0", "2", "4"], False)


def test_normalised_twice(whole: Classifier, batch: Tensor) -> None:
    once = (batch.numpy() - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    again = torch.from_numpy(once.astype(np.float32))
    assert close(made("normalised-twice", whole).logits(batch), fed(whole, again))


def test_a_fused_dropout_drops_whole_rows_in_eval_mode(whole: Classifier) -> None:
    """What is left is divided by 1 - p, and next to nothing of other rows comes in."""
    broken = made("fused-dropout", whole)
    assert not any(module.training for module in broken.network.modules())
    rows = torch.arange(1, 41).float()[None, None, :, None].expand(2, 3, 40, 16)
    torch.manual_seed(0)
    seen = broken.network.get_submodule("0")(rows)
    lost = seen[..., 0] < 0.5
    assert 0.03 < float(lost.float().mean()) < 0.2
    assert torch.equal(lost, seen[..., 15] < 0.5)
    assert torch.allclose(seen[..., 0][~lost], rows[..., 0][~lost] / 0.9, rtol=1e-3)


def test_a_stale_calibration_is_applied_by_a_hook(whole: Classifier, batch: Tensor) -> None:
    broken = made("stale-config", whole)
    logits, before = broken.logits(batch), whole.logits(batch)
    shift = logits - before / 1.5
    assert close(shift, shift[:1].expand_as(shift))
    assert float(shift.std()) > 0.3
    assert repr(broken.network) == repr(whole.network)


def test_cv2_squeezes_the_whole_picture(whole: Classifier) -> None:
    """As torch interpolates without antialias, whose pixel centres are cv2's too."""
    broken = made("cv2-resize", whole)
    drawn = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    seen = pixels(Image.fromarray(drawn), broken.geometry)
    levels = torch.from_numpy(drawn).permute(2, 0, 1)[None].float()
    wanted = torch.nn.functional.interpolate(levels, (16, 16), mode="bilinear")[0]
    assert seen.shape == (3, 16, 16)
    assert float((seen - wanted).abs().max()) <= 1


def test_what_cannot_be_broken_says_why(small: Callable[..., Classifier]) -> None:
    plain = small()
    refused = {name for name, mutant in NAMED.items() if mutant.applies(plain) is not None}
    assert refused == {
        *("no-normalisation", "dropout-on", "batchnorm-training"),
        *("dead-channels", "four-bits", "normalised-twice", "labels-by-folder-order"),
    }
    given = {"resize": (16, 16), "crop": "none", "interpolation": "lanczos"}
    sides = Input.model_validate({**given, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
    odd = replace(plain, input=sides)
    assert NAMED["wrong-crop"].applies(odd)
    assert NAMED["cv2-resize"].applies(odd)
    assert NAMED["no-antialias"].applies(odd)
    none = replace(plain, input=sides.model_copy(update={"resize": None, "crop": 16}))
    assert NAMED["no-antialias"].applies(none)
