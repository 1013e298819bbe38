"""Answers to fixed inputs are the network's logits, and known only where they are steady."""

import base64
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.models.test_models_classifier import Toy, classifier
from vision_evals.core.cache.store import Cache
from vision_evals.engine.identity import identified, joined
from vision_evals.models.probe_answers import folded, inputs, probe_answers


def test_they_are_the_logits_of_eight_pictures() -> None:
    toy = classifier(Toy())
    answers = probe_answers(toy)
    pixels = inputs(toy.geometry.size)
    assert pixels.shape == (8, 3, 224, 224)
    assert len({picture.numpy().tobytes() for picture in pixels}) == 8
    assert 0 <= pixels.min() < 0.01
    assert 0.99 < pixels.max() <= 1
    kept = np.frombuffer(base64.b64decode(answers.logits[0]), np.float32).reshape(8, 4)
    np.testing.assert_array_equal(kept, toy.logits(pixels).numpy())
    assert answers.noise is not None
    assert 0 < answers.noise < 1e-4 * np.abs(kept).max()
    assert answers.environment["torch"] == torch.__version__
    assert probe_answers(toy) == answers


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_they_are_known_in_every_type_of_weights(kind: torch.dtype) -> None:
    answers = probe_answers(classifier(Toy().to(kind)))
    assert answers.unknown is None
    assert len(base64.b64decode(answers.logits[0])) == 8 * 4 * 4


def test_of_many_classes_none_is_left_out() -> None:
    logits = torch.randn(8, 2500, dtype=torch.float64)
    added = folded(logits)
    expected = np.zeros((8, 1000))
    for column in range(2500):
        expected[:, column % 1000] += logits[:, column].numpy()
    np.testing.assert_allclose(added.numpy(), expected)
    assert torch.equal(folded(logits[:, :1000]), logits[:, :1000])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda logits: logits + np.random.default_rng().normal(), "two answers to one input"),
        (lambda logits: logits - logits.mean(0), "two answers to one input differ"),
        (lambda logits: logits / 0, "two answers to one input differ by nan"),
        (lambda logits: logits.squeeze(9), "IndexError on fixed inputs"),
    ],
)
def test_what_is_not_steady_is_unknown(answer: Callable[[Tensor], Tensor], why: str) -> None:
    answers = probe_answers(classifier(Toy(answer)))
    assert str(answers.unknown).startswith(why)
    assert not answers.logits


def test_generators_are_seeded_and_restored(tmp_path: Path) -> None:
    def drawing(logits: Tensor) -> Tensor:
        return logits + 1e-9 * (torch.rand(()) + np.random.rand() + random.random())  # noqa: NPY002

    toy, before = classifier(Toy(drawing)), (torch.rand(1), np.random.rand(), random.random())  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]  # noqa: NPY002
    found = [identified(toy, None).answers for _ in range(2)]
    assert before
    assert found[0] == found[1]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # type: ignore[index]  # noqa: NPY002
    assert random.getstate() == states[2]


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("seen").add_(1)
        return x.mean((2, 3)) @ torch.ones(3, 4)


def test_a_network_that_its_answers_change_has_none(tmp_path: Path) -> None:
    """What changed goes with it: every pass says so, and nothing is kept."""
    found = identified(classifier(Counting()), Cache(tmp_path, print))
    assert found.changed == ("seen",)
    assert found.answers is not None
    assert found.answers.unknown == "its first answers change the network (seen)"
    assert found.hidden is not None
    assert not list(tmp_path.glob("answers/*/*"))


def test_a_damaged_memory_is_written_again(tmp_path: Path) -> None:
    cache, toy = Cache(tmp_path, print), replace(classifier(Toy()), fingerprint="f" * 64)
    first = identified(toy, cache)
    (file,) = tmp_path.glob("answers/*/*")
    kept = file.read_bytes()
    file.write_bytes(b"nothing")
    assert identified(toy, cache).answers == first.answers
    assert file.read_bytes()[65:].partition(b"\n")[2] == kept[65:].partition(b"\n")[2]


def test_seeds_are_joined() -> None:
    one = identified(classifier(Toy()), None)
    other = identified(classifier(Toy(lambda logits: logits * 2)), None)
    assert one.answers is not None
    assert other.answers is not None
    both = joined([one, other])
    assert both is not None
    assert both.logits == one.answers.logits + other.answers.logits
    assert both.noise == max(one.answers.noise or 0, other.answers.noise or 0)
    assert joined([one, classifier(Toy())]) is None
    lost = replace(one, answers=probe_answers(classifier(Toy(lambda x: x / 0))))
    assert joined([one, lost]) == lost.answers
