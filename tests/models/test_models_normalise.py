"""Normalisation equals torchvision's bit for bit, and Caffe's by its own formula."""

import torch
from torchvision.transforms import functional

from vision_evals.models.card import Input
from vision_evals.models.classifier import Normalise

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_equal_to_torchvision_bit_for_bit() -> None:
    pixels = torch.randint(0, 256, (2, 3, 9, 7)) / 255
    expected = functional.normalize(pixels, list(MEAN), list(STD))
    assert torch.equal(Normalise(Input(mean=MEAN, std=STD))(pixels), expected)


def test_bgr_and_255_are_what_caffe_did() -> None:
    pixels = torch.rand(2, 3, 5, 5)
    given = Input(mean=(104, 117, 123), std=(1, 1, 1), channels="bgr", range=255)
    literal = pixels[:, [2, 1, 0]] * 255 - torch.tensor([104.0, 117, 123]).view(3, 1, 1)
    assert torch.equal(Normalise(given)(pixels), literal)


def test_gradients_reach_the_pixels_whatever_came_before() -> None:
    normalise = Normalise(Input(mean=MEAN, std=STD, channels="bgr"))
    with torch.inference_mode():
        normalise(torch.rand(1, 3, 2, 2))
    pixels = torch.rand(1, 3, 2, 2, requires_grad=True)
    normalise(pixels).sum().backward()
    assert pixels.grad is not None
    expected = 1 / torch.tensor(STD).flip(0)
    torch.testing.assert_close(pixels.grad[0, :, 0, 0], expected)


def test_half_precision_pixels_are_normalised_in_single() -> None:
    pixels = torch.rand(1, 3, 2, 2).bfloat16()
    normalise = Normalise(Input(mean=MEAN, std=STD))
    assert normalise(pixels).dtype is torch.float32
    assert torch.equal(normalise(pixels), normalise(pixels.float()))
    assert normalise(pixels.double()).dtype is torch.float64
