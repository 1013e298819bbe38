"""Two classifiers of logs are held against each other: fingerprint, answers, environment."""

import base64
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vision_evals import log
from vision_evals.log.identity import likeness

HERE = {"device": "cpu", "threads": "1"}


def written(logits: Any) -> str:
    return base64.b64encode(np.asarray(logits, np.float32).tobytes()).decode()


def classifier(
    *logits: Any, fingerprint: str | None = "f", noise: float | None = 0.1, **more: Any
) -> log.Classifier:
    known = {"inputs": "i", "logits": tuple(map(written, logits)), "environment": HERE}
    answers = log.ProbeAnswers(noise=noise, **(known | more))
    return log.Classifier(alias="a", network="n", fingerprint=fingerprint, answers=answers)


PLAIN = classifier([0.0, 1.0])

DIFFER, ON = "equal fingerprints, and logits that differ", " on fixed inputs"
OTHER = "other fingerprints, and equal answers to fixed inputs"
UNKNOWN = "equal fingerprints, and nobody knows whether the answers are equal too"


@pytest.mark.parametrize(
    ("other", "same", "unseen", "remark"),
    [
        (classifier([0.0, 1.05]), True, False, ""),
        (classifier([0.0, 1.5]), False, True, f"{DIFFER} by 0.5{ON}"),
        (
            classifier([0.0, 1.5], environment=HERE | {"threads": "2", "timm": "1.0"}),
            False,
            False,
            f"{DIFFER} by 0.5{ON}, in another environment (threads 1 and 2; timm unknown and 1.0)",
        ),
        (classifier([0.0, 1.0], fingerprint="g"), False, False, OTHER),
        (classifier([0.0, 1.5], fingerprint="g"), False, False, ""),
        (classifier([0.0, 1.0], inputs="j"), False, False, UNKNOWN),
        (classifier([0.0, 1.0], [0.0, 1.0]), False, False, UNKNOWN),
        (classifier([0.0]), False, True, f"{DIFFER}{ON}"),
        (classifier([0.0, math.nan]), False, True, f"{DIFFER}{ON}"),
        (classifier(logits=("?",)), False, True, f"{DIFFER}{ON}"),
        (classifier([0.0, 1.5], noise=None), False, True, f"{DIFFER} by 0.5{ON}"),
    ],
)
def test_three_facts_decide(other: log.Classifier, same: bool, unseen: bool, remark: str) -> None:
    for pair in ((PLAIN, other), (other, PLAIN)):
        found = likeness(*pair)
        assert (found.same, found.changed_unseen) == (same, unseen)
    assert likeness(PLAIN, other).remark == remark


def test_nothing_known_is_not_the_same() -> None:
    nothing = log.Classifier(alias="a", network="n")
    assert not likeness(nothing, nothing).same
    assert not likeness(nothing, nothing).remark
    unknown = classifier(inputs="", unknown="it fell")
    assert likeness(unknown, unknown).answers is None


LOGITS = arrays(np.float32, (3,), elements=st.floats(-100, 100, width=32))


@given(LOGITS, LOGITS, st.floats(0, 50, width=32))
def test_the_distance_is_numpys(first: Any, second: Any, noise: float) -> None:
    found = likeness(classifier(first, noise=noise), classifier(second, noise=0.0))
    far = float(np.abs(first.astype(np.float64) - second.astype(np.float64)).max())
    assert found.distance == far
    assert found.answers == (far <= noise)
