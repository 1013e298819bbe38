"""Every verdict and every metric in a sentence."""

from __future__ import annotations

from evals.log import Verdict

VERDICTS = {
    Verdict.INVALID: "The evaluation itself cannot be trusted, for the reason given; its numbers "
    "can neither pass nor fail anything.",
    Verdict.FAILED: "A number lies on the wrong side of the threshold that the suite sets.",
    Verdict.INCONCLUSIVE: "The interval holds the threshold: with so few images the suite's "
    "question cannot be answered either way.",
    Verdict.PASSED: "Every expectation of the suite holds, and every validity check with it.",
    Verdict.RECORDED: "Measured and written down; the suite expects nothing of it on purpose.",
    Verdict.NOT_APPLICABLE: "The question does not apply to this classifier or these images. "
    "That is never a pass.",
    Verdict.UNAVAILABLE: "The weights or a package could not be had here, so nothing was measured.",
}

METRICS = {
    "top1_accuracy": "Share of images whose likeliest class is a right one.",
    "top5_accuracy": "Share of images with a right class among the five likeliest.",
    "ece": "Expected calibration error (Guo et al. 2017, 15 equal-width bins): how far confidence "
    "and accuracy lie apart, averaged over images. 0 means that of all answers given with "
    "confidence 0.8, eight in ten are right.",
    "nll": "Negative log-likelihood: minus the logarithm of the probability given to the right "
    "class, averaged over images. Confident mistakes cost most.",
    "expected_top1": "Share of images on which the classifier puts first exactly the class that it "
    "is known to put first. Anything below 1 means that weights, preprocessing or libraries are "
    "not what they were.",
}

METHODS = {
    "wilson": "Wilson interval: for a share of n images counted once each; honest for small n and "
    "near 0 and 1, where it is not symmetric.",
    "bootstrap": "Bootstrap interval: the images are drawn again with replacement, many times and "
    "from a fixed seed; it holds the middle share of the results.",
}
