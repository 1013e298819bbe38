"""Lanes keep the plain path's decisions, and say what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vision_evals.measures.probe import Answers, Probe
from vision_evals.models.answers import decision, margin
from vision_evals.models.classifier import Classifier
from vision_evals.models.fast_path import fast_path as module
from vision_evals.models.fast_path.build import BuiltForward
from vision_evals.models.fast_path.calibration import SAFETY_FACTOR
from vision_evals.models.fast_path.fast_path import FastPath
from vision_evals.models.fast_path.policy import FastPathPlan

Small = Callable[..., Classifier]
BF16_CALIBRATION_IMAGES = FastPathPlan("bf16")


class Colours(nn.Module):
    """Logits are ten times the mean of each colour."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 10 * x.mean(dim=(2, 3))


def built_as(forward: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., BuiltForward]:
    return lambda *_: BuiltForward(forward, 0, compiled=False, graphed=False, left_out="")


@pytest.fixture
def rough(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let every fast path err by up to 0.05 a logit; return a list of the batches it saw."""
    seen: list[int] = []

    def forward(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        exact = 10 * x.mean(dim=(2, 3))
        return exact + 0.05 * torch.sin(1e4 * exact)

    monkeypatch.setattr(module, "build_forward", built_as(forward))
    return seen


def probe(
    classifier: Classifier, n: int, fast_path: FastPath | None, *, labelled: bool = True
) -> Probe:
    torch.manual_seed(n)
    x = torch.rand(n, 3, 1, 1).expand(n, 3, 16, 16).clone()
    label = classifier.logits(x).argmax(dim=1)
    known = Answers(label, label[:, None], torch.arange(3)) if labelled else None
    return Probe(classifier, tuple(map(str, range(n))), x, known, fast_path=fast_path)


def moved(one: Probe, by: float) -> Callable[[Any], torch.Tensor]:
    return lambda rows: (one.pixels[rows] * (1 - by)).clamp(0, 1)


@pytest.mark.parametrize("labelled", [True, False])
def test_no_decision_differs_though_every_logit_does(
    small: Small, rough: list[int], labelled: bool
) -> None:
    classifier = small(Colours())
    fast_path = FastPath(classifier, BF16_CALIBRATION_IMAGES)
    places, found, wanted = (0.0, 0.1, 0.2), torch.empty(0), torch.empty(0)
    for n in (300, 500, 400):
        one = probe(classifier, n, fast_path, labelled=labelled)
        right = one.answers.accepted if one.answers else None
        found = one.looks([moved(one, by) for by in places], right)
        wanted = torch.stack([classifier.logits(moved(one, by)(slice(None))) for by in places])
        both = (decision(logits.flatten(0, 1), _all(right, 3)) for logits in (found, wanted))
        assert torch.equal(*both)
        fast_path.count_images(n)
    told = fast_path.record()
    assert told.images == 300
    assert told.calibrated == 900
    assert told.logit_error == pytest.approx(0.05, rel=0.05)
    assert told.bound == pytest.approx(SAFETY_FACTOR * told.logit_error)  # type: ignore[operator]
    assert told.answers == 2700
    assert 0 < told.repeated < 2700
    assert 0 < told.rechecked < 80
    assert told.changed == 0
    assert 0 < told.calibrated_changed < 90  # without repeats it would have been wrong
    assert not torch.equal(found, wanted)  # the others are the fast path's own
    assert told.precision == "bf16"


def _all(right: torch.Tensor | None, times: int) -> torch.Tensor | None:
    return None if right is None else right.repeat(times, 1)


def test_a_path_that_is_worse_later_than_in_its_calibration_is_found_out(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recheck can fail: from the second batch on every answer is another one."""
    calls: list[int] = []

    def forward(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        exact = 10 * x.mean(dim=(2, 3))
        return exact if len(calls) == 1 else exact.roll(1, dims=1) * 100

    monkeypatch.setattr(module, "build_forward", built_as(forward))
    classifier = small(Colours())
    fast_path = FastPath(classifier, FastPathPlan("bf16"))
    probe(classifier, 300, fast_path).see(probe(classifier, 300, fast_path).pixels)
    fast_path.count_images(300)
    one = probe(classifier, 2000, fast_path)
    one.see(one.pixels)
    told = fast_path.record()
    assert told.rechecked > 5
    assert told.changed == told.rechecked


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (lambda x: 10 * x.mean(dim=(2, 3)) * torch.nan, "not finite"),
        (lambda x: 10 * x.mean(dim=(2, 3)) + torch.tensor([9.0, 0, 0]), "half of the answers"),
        (lambda x: x.mean(), "UserError: small: for 300 pictures"),
    ],
)
def test_a_path_that_is_no_good_is_given_up(
    small: Small, monkeypatch: pytest.MonkeyPatch, forward: Any, said: str
) -> None:
    monkeypatch.setattr(module, "build_forward", built_as(forward))
    classifier = small(Colours())
    fast_path = FastPath(classifier, BF16_CALIBRATION_IMAGES)
    one = probe(classifier, 300, fast_path)
    found = one.see(one.pixels)
    fast_path.count_images(300)
    assert torch.equal(found, classifier.logits(one.pixels))
    assert fast_path.refused is not None
    assert said in fast_path.refused
    assert fast_path.record().plain
    assert fast_path.record().answers == 0
    assert torch.equal(one.see(one.pixels), found)


def test_in_fp32_what_is_no_rounding_is_given_up(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "build_forward", built_as(lambda x: 10.1 * x.mean(dim=(2, 3))))
    classifier = small(Colours())
    fast_path = FastPath(classifier, FastPathPlan("fp32", fold=True))
    one = probe(classifier, 20, fast_path)
    one.see(one.pixels)
    fast_path.count_images(20)
    assert "which is no rounding" in str(fast_path.refused)


def test_a_bound_is_never_less_than_rounding(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that is the network itself errs in no batch of one size, and in others by a bit."""
    calls: list[int] = []

    def forward(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        exact = 10 * x.mean(dim=(2, 3))
        up = torch.nextafter(exact, torch.tensor(torch.inf))
        return exact if len(calls) == 1 else torch.where(exact == exact.amax(1, True), exact, up)

    monkeypatch.setattr(module, "build_forward", built_as(forward))
    classifier = small(Colours())
    fast_path = FastPath(classifier, FastPathPlan("fp32", fold=True))
    one = probe(classifier, 40, fast_path)
    one.see(one.pixels)
    fast_path.count_images(40)
    close = one.pixels.clone()
    close[:, 1] = torch.nextafter(close[:, 0], torch.tensor(0.0))
    close[:, 2] = 0
    wanted = decision(classifier.logits(close), None)
    assert torch.equal(decision(one.looks([close.__getitem__], None)[0], None), wanted)
    told = fast_path.record()
    assert told.logit_error == 0
    largest = float(classifier.logits(one.pixels).amax())
    assert told.bound == pytest.approx(3 * 4 * 2**-23 * largest)
    assert told.repeated == 40


def test_what_cannot_be_built_is_said(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> BuiltForward:
        raise TypeError("symbolically traced variables cannot be used\nas inputs to control flow")

    monkeypatch.setattr(module, "build_forward", refuse)
    classifier = small(Colours())
    one = probe(classifier, 3, FastPath(classifier, BF16_CALIBRATION_IMAGES))
    assert torch.equal(one.see(one.pixels), classifier.logits(one.pixels))
    assert one.fast_path is not None
    assert one.fast_path.refused == "TypeError: symbolically traced variables cannot be used"


def test_a_path_that_raises_after_it_has_answered_is_no_plain_one(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traced copy, say, that cannot take the short batch at the end."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        if len(x) < 100:
            raise RuntimeError("expected a batch of 300")
        return 10 * x.mean(dim=(2, 3))

    monkeypatch.setattr(module, "build_forward", built_as(forward))
    classifier = small(Colours())
    fast_path = FastPath(classifier, BF16_CALIBRATION_IMAGES)
    for n in (300, 300, 20):
        one = probe(classifier, n, fast_path)
        assert torch.allclose(one.see(one.pixels), classifier.logits(one.pixels))
        fast_path.count_images(n)
    told = fast_path.record()
    assert told.refused == "RuntimeError: expected a batch of 300"
    assert (told.plain, told.precision, told.answers) == (False, "bf16", 300)


def test_what_is_no_number_is_not_sure(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def forward(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        return 10 * x.mean(dim=(2, 3)) * (1.0 if len(calls) == 1 else torch.nan)

    monkeypatch.setattr(module, "build_forward", built_as(forward))
    classifier = small(Colours())
    fast_path = FastPath(classifier, BF16_CALIBRATION_IMAGES)
    one = probe(classifier, 300, fast_path)
    one.see(one.pixels)
    fast_path.count_images(300)
    assert torch.equal(one.see(one.pixels), classifier.logits(one.pixels))
    assert fast_path.record().repeated == 300


def test_what_is_given_back_is_built_again_and_stays_measured(
    small: Small, rough: list[int]
) -> None:
    classifier = small(Colours())
    fast_path = FastPath(classifier, BF16_CALIBRATION_IMAGES)
    one = probe(classifier, 300, fast_path)
    one.see(one.pixels)
    fast_path.count_images(300)
    told = fast_path.record()
    fast_path.release()
    assert fast_path.record() == told
    one.see(one.pixels)
    assert len(rough) == 2


def test_the_plain_path_is_looked_at_once(small: Small) -> None:
    classifier = small(Colours())
    fast_path = FastPath(classifier, FastPathPlan("fp32"))
    one = probe(classifier, 40, fast_path)
    assert torch.equal(one.see(one.pixels), classifier.logits(one.pixels))
    fast_path.count_images(40)
    told = fast_path.record()
    assert told.plain
    assert (told.images, told.answers, told.logit_error) == (0, 0, None)


@pytest.mark.parametrize("batch_size", [None, 1, 5, 7, 12, 100])
def test_places_share_a_forward_while_there_is_room(
    small: Small, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    classifier = small(Colours())
    real = Classifier.logits

    def logits(self: Classifier, x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return real(self, x)

    monkeypatch.setattr(Classifier, "logits", logits)
    one = replace(probe(classifier, 5, None), room=batch_size)
    seen.clear()
    found = one.looks([moved(one, by) for by in (0, 0.1, 0.2, 0.3)], None)
    each = 5 * max(1, (batch_size or 5) // 5)
    assert seen == [min(each, 20 - first) for first in range(0, 20, each)]
    wanted = [real(classifier, moved(one, by)(slice(None))) for by in (0, 0.1, 0.2, 0.3)]
    assert torch.allclose(found, torch.stack(wanted))


def test_no_places_no_logits(small: Small) -> None:
    assert probe(small(Colours()), 5, None).looks([], None).shape[:2] == (0, 5)


@given(
    st.lists(st.lists(st.integers(-9, 9), min_size=4, max_size=4), min_size=1, max_size=5),
    st.sets(st.integers(0, 3), min_size=1, max_size=3),
)
def test_a_margin_is_how_far_another_decision_is(rows: list[list[int]], accepted: set[int]) -> None:
    """By a loop: moving every logit by less than half of the margin turns no decision."""
    logits = torch.tensor(rows, dtype=torch.float32)
    padded = torch.tensor([[*accepted, *[-1] * (4 - len(accepted))]]).repeat(len(rows), 1)
    for sides in (padded, None):
        for row, said in zip(rows, margin(logits, sides).tolist(), strict=True):
            ordered = sorted(row)
            right = max(row[i] for i in accepted)
            wrong = max(row[i] for i in range(4) if i not in accepted)
            wanted = ordered[-1] - ordered[-2] if sides is None else abs(right - wrong)
            assert said == wanted
