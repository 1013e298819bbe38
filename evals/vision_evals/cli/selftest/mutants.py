"""Every mutant, in the order of tables."""

from __future__ import annotations

from vision_evals.cli.selftest import feeding, inside

MUTANTS = (
    feeding.bgr,
    feeding.wrong_mean_std,
    feeding.no_normalisation,
    feeding.other_range,
    feeding.shuffled_labels,
    inside.dropout_on,
    inside.batchnorm_training,
    inside.dead_channels,
    inside.softmax,
    feeding.rounding,
    inside.four_bits,
    feeding.wrong_crop,
    feeding.no_antialias,
    feeding.cv2_resize,
    inside.normalised_twice,
    inside.fused_dropout,
    inside.stale_config,
    feeding.labels_by_folder_order,
    feeding.labels_shifted,
    feeding.every_second_picture_missing,
)
