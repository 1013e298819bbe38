"""What each metric says of itself: a sentence, and the paper that it is from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vision_evals.images.labels import ClassMap
from vision_evals.measures import MEASURES, lookup
from vision_evals.models.request import Request
from vision_evals.suite.parse import parse
from vision_evals.suite.spec import MetricSpec
from vision_evals.verdict.check_input import CheckInput, ClassifierInfo, Measured
from vision_evals.verdict.job import Job

PROMISED = [
    (name, metric) for name in MEASURES for metric in lookup(name, Path(__file__).parent).metrics
]

PAPERS = {
    ("accuracy", "top5_accuracy"): "Russakovsky et al. 2015",
    ("accuracy", "ece"): "Guo et al. 2017",
    ("adversarial", "robust_accuracy"): "Croce & Hein 2020",
    ("dead_relu", "dead_fraction"): "Lu et al. 2020",
    ("dead_relu", "mostly_zero_fraction"): "Hu et al. 2016",
    ("dead_relu", "unseen_firing_rate"): "Hanley & Lippman-Hand 1983",
    ("dropout_gap", "ensemble_accuracy"): "Srivastava et al. 2014",
    ("fgsm", "robust_accuracy"): "Goodfellow et al. 2015",
    ("fgsm", "noise_p_value"): "McNemar 1947",
    ("linear_response", "r2_line"): "Goodfellow et al. 2015",
    ("predictions", "auroc"): "Hendrycks & Gimpel 2017",
    ("predictions", "fpr_at_95_tpr"): "Liang et al. 2018",
    ("steepest_descent", "step_bound"): "Luenberger & Ye",
    ("targeted", "ssim"): "Wang et al. 2004",
    ("training", "gradient_ratio"): "Glorot & Bengio 2010",
}


@pytest.mark.parametrize(("measure", "metric"), PROMISED, ids=lambda one: getattr(one, "name", one))
def test_a_metric_is_told_in_sentences_and_its_paper_apart(
    measure: str, metric: MetricSpec
) -> None:
    assert re.match(r"[A-Z].{15,}\.$", metric.about, re.DOTALL), measure
    year = re.compile(r"\b(18|19|20)\d\d\b")
    assert not year.search(metric.about), "a paper is named in source"
    for source in filter(None, metric.source.split("; ")):
        assert year.search(source) or "section" in source
        assert not source.endswith(".")


def test_metrics_name_the_papers_that_described_them() -> None:
    found = {(measure, metric.name): metric.source for measure, metric in PROMISED}
    assert {key for key, paper in PAPERS.items() if paper not in found[key]} == set()


def test_the_log_has_what_the_measure_says_of_its_metrics() -> None:
    text = (
        'evals = 1\ntitle = "t"\n[[check]]\nname = "a"\nmeasure = "accuracy"\nimages = "p"\n'
        "expect = []"
    )
    measure = lookup("accuracy", Path())
    suite = parse(text, "s.toml", lambda _: measure)
    job = Job("s", suite, suite.checks[0], Request("net", "net", None), True, False, None, None)
    n = 12
    rows = pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(n)],
            "label": 0,
            "top5": [[0, 1, 2]] * n,
            "confidence": 0.9,
            "correct1": np.arange(n) > 3,
            "correct5": True,
            "nll": 0.1,
            "competing": 3,
        }
    )
    here = Measured(ClassifierInfo(ClassMap("c", ("x", "y", "z"), None)), rows, 0, images=n)
    found = CheckInput(job, measure, (here,)).metrics("net")
    assert len(found) == len(measure.metrics)
    for metric in found:
        spec = measure.metric(metric.name)
        for fact in ("about", "source", "axis", "refines", "headline", "higher_is_better"):
            assert getattr(metric, fact) == getattr(spec, fact), fact
    assert {metric.name: metric.source for metric in found}["ece"].startswith("Guo et al. 2017")
