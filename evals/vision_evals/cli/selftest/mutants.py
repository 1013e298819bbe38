"""Every mutant, in the order of tables."""

from __future__ import annotations

from vision_evals.cli.selftest import feeding, inside
from vision_evals.cli.selftest.mutant import Mutant, always

MUTANTS = (
    Mutant("bgr", "red and blue swapped on the way in", always, feeding.bgr),
    Mutant(
        "wrong-mean-std",
        "mean and std of ImageNet, or Caffe's where ImageNet's are right",
        always,
        feeding.wrong_mean_std,
    ),
    Mutant(
        "no-normalisation",
        "mean and std forgotten",
        feeding.not_normalised,
        feeding.no_normalisation,
    ),
    Mutant(
        "wrong-range",
        "pixels from 0 to 255 where 0 to 1 is right, or the other way round",
        always,
        feeding.other_range,
    ),
    Mutant(
        "shuffled-labels",
        "outputs under one another's names",
        feeding.lone_class,
        feeding.shuffled_labels,
    ),
    Mutant("dropout-on", "dropout left on", inside.no_dropout, inside.dropout_on),
    Mutant(
        "batchnorm-training",
        "batch normalisation left in training mode",
        inside.no_batchnorm,
        inside.batchnorm_training,
    ),
    Mutant(
        "dead-channels",
        "5 % of each convolution's channels set to 0",
        inside.no_convolution,
        inside.dead_channels,
    ),
    Mutant("softmax", "probabilities returned instead of logits", always, inside.softmax),
    Mutant(
        "rounding",
        "pixels rounded to 8 bits in the forward, so that the gradient is 0",
        always,
        feeding.rounding,
    ),
    Mutant("four-bits", "weights rounded to 4 bits", inside.no_weights, inside.four_bits),
    Mutant("wrong-crop", "no margin around the crop", feeding.no_margin, feeding.wrong_crop),
    Mutant(
        "no-antialias",
        "resized without antialias",
        feeding.not_smoothed,
        feeding.no_antialias,
    ),
)
