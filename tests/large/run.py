"""The log of the run: its suites, its networks, and what both were shown."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.large.judged import Shown, item
from tests.large.rows import Network
from vision_evals import log
from vision_evals.images.labels import ClassMap, class_map
from vision_evals.measures import lookup, metrics
from vision_evals.measures.intervals import bootstrap
from vision_evals.suite.parse import parse
from vision_evals.suite.suite import Suite

BASELINE = "20260101T000000-base"

SUITES = {
    "suites/photographs.toml": """
evals = 1
title = "Photographs"
about = "How often a network is right, and whether it got worse."

[[check]]
name = "validation"
measure = "accuracy"
images = "photographs"
expect = [
  { metric = "top5_accuracy", at_least = 0.75 },
  { metric = "ece", at_most = 0.05, severity = "warn" },
  { metric = "top1_accuracy", at_least = { of = "baseline", minus = 0.02 } },
]
""",
    "suites/art.toml": """
evals = 1
title = "Art"
about = "What a network says of pictures that no class is made for."

[[check]]
name = "works"
measure = "predictions"
images = "art"
against = "photographs"
expect = [{ metric = "auroc", at_least = 0.6 }]
""",
    "suites/attacks.toml": """
evals = 1
title = "Attacks"
about = "How far every pixel has to move."

[[check]]
name = "one-step"
measure = "fgsm"
images = "photographs"
epsilons = [0, "1/2040", "1/1020", "1/510", "1/255", 0.007, "4/255", "16/255"]
expect = [{ metric = "robust_accuracy", at = "1/510", at_least = 0.4 }]

[[check]]
name = "airliner"
measure = "targeted"
images = "photographs"
target = "airliner"
expect = [{ metric = "target_success", at = "4/255", at_least = 0.2 }]
""",
    "suites/units.toml": """
evals = 1
title = "Units"
about = "Which units never rise above 0."

[[check]]
name = "rectifiers"
measure = "dead_relu"
images = "photographs"
expect = [{ metric = "dead_fraction", at_most = 0.25 }]
""",
}
"""Some of these expectations fail, and others pass."""


def write(directory: Path, images: int, networks: int) -> log.Run:
    """Write ``run.json``, ``tables/`` and ``pictures/`` of a finished run.

    Args:
        directory: of the run, an empty one.
        images: in either image set.
        networks: how many judge them.
    """
    for name in ("tables", "pictures"):
        (directory / name).mkdir(parents=True)
    classes = class_map("imagenet", Path())
    suites = {
        path: parse(text, path, lambda name: lookup(name, Path())) for path, text in SUITES.items()
    }
    asked = [Network(f"checkpoint_{k + 1}", 0.8 - 0.04 * k, 1 + 0.5 * k) for k in range(networks)]
    ids = {
        "photographs": tuple(f"n{i % 1000:08d}/val_{i + 1:08d}.jpg" for i in range(images)),
        "art": tuple(f"{i % 40:02d}/work-{i + 1:06d}.jpg" for i in range(images)),
    }
    shown = Shown(directory, BASELINE, _settings(), classes, ids)
    cards = {network: _card(network.alias, classes) for network in asked}
    with pytest.MonkeyPatch.context() as patch:
        # a page is as large and as fast after 50 resamples as after 1,000, which take minutes
        patch.setattr(metrics, "bootstrap", partial(bootstrap, resamples=50))
        items = tuple(
            item(shown, suite, check, network, cards[network])
            for suite in suites.values()
            for check in suite.checks
            for network in asked
        )
    run = _run(directory.name, suites, items, tuple(cards.values()), ids)
    log.write(run, directory)
    return run


def _settings() -> log.Settings:
    return log.Settings(device="cpu", device_name="a processor", batch_size=32)


def _card(alias: str, classes: ClassMap) -> log.Classifier:
    return log.Classifier(
        alias=alias,
        network="my_package.nets:build",
        weights=f"{alias}.safetensors",
        fingerprint="".join(f"{ord(letter):02x}" for letter in alias),
        input="resize 256 bilinear, crop 224, mean 0.485 0.456 0.406, std 0.229 0.224 0.225, rgb",
        class_map="imagenet",
        class_count=1000,
        class_names=classes.names,
        parameters=61_100_840,
        load_seconds=0.5,
    )


def _run(
    name: str,
    suites: Mapping[str, Suite],
    items: tuple[log.Item, ...],
    cards: tuple[log.Classifier, ...],
    ids: Mapping[str, tuple[str, ...]],
) -> log.Run:
    n = len(ids["photographs"])
    works = {
        image: {
            "title": f"Work {k + 1}",
            "artist": f"Painter {k % 40}",
            "year": str(1500 + k % 500),
        }
        for k, image in enumerate(ids["art"])
    }
    return log.Run(
        id=name,
        status="finished",
        started="2026-01-02T00:00:00+00:00",
        seconds=sum(item.seconds for item in items),
        command=f"pytest suites/ --evals-images photographs=data --evals-baseline {BASELINE}",
        settings=_settings(),
        environment=log.Environment(
            versions={"python": "3.12", "torch": "2.14"}, platform="Linux x86_64", threads=2
        ),
        baseline=log.Baseline(id=BASELINE, source=BASELINE, started="2026-01-01T00:00:00+00:00"),
        suites=tuple(
            log.Suite(path=path, title=suite.title, about=suite.about, gates=suite.gates)
            for path, suite in suites.items()
        ),
        classifiers=cards,
        image_sets=tuple(
            log.ImageSet(
                role=role, source=f"data/{role}", n=n, total=n, fingerprint="0" * 64,
                about=works if role == "art" else {},
            )
            for role in ids
        ),
        items=items,
        passes=tuple(
            log.PassRecord(
                images=role, batch_size=32, n=n, seconds=n / 100, decode_seconds=n / 120,
                wait_seconds=n / 1000, forward_seconds=n / 130, rows_seconds=n / 5000,
            )
            for role in ids
        ),
        selected=tuple(item.id for item in items),
    )  # fmt: skip
