"""Every verdict and every interval in a sentence; metrics and validity checks bring their own."""

from __future__ import annotations

from vision_evals.log import Verdict

VERDICTS = {
    Verdict.INVALID: "The evaluation itself cannot be trusted, for the reason given; its numbers "
    "can neither pass nor fail anything.",
    Verdict.FAILED: "A number lies on the wrong side of the threshold that the suite sets; where "
    "it asks for an interval with a confidence, all of the interval does.",
    Verdict.INCONCLUSIVE: "The suite asks for an interval, and that holds the threshold: with so "
    "few images its question cannot be answered either way.",
    Verdict.PASSED: "Every expectation of the suite holds, and every validity check with it.",
    Verdict.RECORDED: "Measured and written down; the suite expects nothing of it on purpose.",
    Verdict.NOT_APPLICABLE: "The question does not apply to this classifier or these images. "
    "That is never a pass.",
    Verdict.UNAVAILABLE: "The weights or a package could not be had here, so nothing was measured.",
}

INTERVALS: dict[str, tuple[str, str, str]] = {
    "wilson": (
        "Wilson",
        "For a share of n images counted once each; honest for small n and near 0 and 1, where it "
        "is not symmetric.",
        "Wilson 1927; Brown, Cai & DasGupta 2001",
    ),
    "bootstrap": (
        "bootstrap",
        "The images are drawn again with replacement, many times and from a fixed seed; it holds "
        "the middle share of the results.",
        "Efron 1979; Efron & Tibshirani 1993",
    ),
    "score": (
        "score",
        "For the difference of two shares of the same images: every difference that the score "
        "test would not reject. It has a width even where no image changed.",
        "Tango 1998, section 3",
    ),
    "paired t": (
        "paired t",
        "For the mean of differences on the same images, where these are many.",
        "Student 1908",
    ),
}
"""By the method that the log names: what it is called, what it is, and who described it."""
