"""Runs as a session would leave them: a log, Parquet tables and WebP pictures."""

from __future__ import annotations

import functools
import importlib.util
import io
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evals import log, report
from evals.log import Verdict

NAMES = {
    22: "bald eagle", 99: "goose", 129: "spoonbill", 243: "bull mastiff", 251: "dalmatian",
    305: "dung beetle", 317: "leafhopper", 438: "beaker", 455: "bottlecap", 471: "cannon",
    541: "drum", 559: "folding chair", 609: "jeep", 630: "Loafer", 741: "prayer rug",
    853: "thatch", 915: "yurt", 949: "strawberry", 990: "buckeye",
}  # fmt: skip
CLASS_NAMES = tuple(NAMES.get(index, f"thing {index}") for index in range(1000))
WRONG = (130, 234, 463, 412, 868)
ALIASES = ("squeezenet1_1_caffe", "efficientnet_lite0", "alexnet", "vgg11", "inception_v3")
SUITE = "suites/accuracy.toml"
CHECK = "photographs"
COMMAND = "pytest suites/ --evals-limit=20 --evals-run-dir runs --evals-seed 7 -q"
HUMANS = (
    log.Reference(
        label="human annotator 1", metric="top5_accuracy", value=0.949, n=1500,
        low=0.937, high=0.959, source="Russakovsky et al. 2015, section 6.4",
    ),
    log.Reference(
        label="human annotator 2", metric="top5_accuracy", value=0.88, n=258,
        low=0.835, high=0.914, source="Russakovsky et al. 2015, section 6.4",
    ),
)  # fmt: skip


def photographs() -> list[Path]:
    spec = importlib.util.find_spec("foolbox")
    assert spec is not None
    assert spec.origin is not None
    return sorted((Path(spec.origin).parent / "data").glob("imagenet_*.jpg"))


def share(name: str, hits: int, n: int = 20, **more: Any) -> log.Metric:
    p, z = hits / n, 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    fields: dict[str, Any] = {
        "name": name, "value": p, "unit": "fraction", "n": n, "denominator": "images",
        "low": max(middle - half, 0.0), "high": min(middle + half, 1.0), "confidence": 0.95,
        "method": "wilson",
    }  # fmt: skip
    return log.Metric(**fields | more)


def accuracy_metrics(hits1: int, hits5: int) -> tuple[log.Metric, ...]:
    return (
        share("top1_accuracy", hits1),
        share("top5_accuracy", hits5),
        log.Metric(
            name="ece", value=0.1234, unit="fraction", n=20, denominator="images", low=0.0871,
            high=0.2913, confidence=0.95, method="bootstrap", higher_is_better=False,
        ),
        log.Metric(
            name="nll", value=0.8012, unit="nats", n=20, denominator="images", low=0.371,
            high=1.512, confidence=0.95, method="bootstrap", higher_is_better=False,
        ),
        log.Metric(
            name="expected_top1", value=None, unit="fraction", n=0, denominator="images",
            reason="no answers are known of this classifier",
        ),
    )  # fmt: skip


def judgement(metric: log.Metric, threshold: float, verdict: Verdict, **more: Any) -> log.Judgement:
    fields: dict[str, Any] = {
        "metric": metric.name, "wanted": f"at least {threshold:g}", "threshold": threshold,
        "value": metric.value, "verdict": verdict,
        "sentence": f"{metric.value:.4g}, at least {threshold:g} wanted: {metric.name}, "
        f"95 % interval {metric.low:.4g} to {metric.high:.4g}, n = {metric.n}",
    }  # fmt: skip
    return log.Judgement(**fields | more)


def write_rows(directory: Path, alias: str, hits1: int, check: str = CHECK) -> str:
    """Write answers of which the first ``hits1`` have the right class first, others second."""
    rows: dict[str, list[Any]] = {}
    for number, path in enumerate(photographs()):
        label = int(path.stem.rsplit("_", 1)[1])
        right_first = number < hits1
        top5 = [label, *WRONG[:4]] if right_first else [WRONG[0], label, *WRONG[1:4]]
        first = 0.35 + 0.03 * ((number * 7 + len(alias)) % 20)
        rest = (1 - first) * 0.6
        row = {
            "image": path.name, "label": label, "accepted": [label], "top5": top5,
            "top5_confidence": [first, *(rest / 2**k for k in range(1, 5))],
            "correct1": right_first, "correct5": True, "nll": 1 - first, "confidence": first,
        }  # fmt: skip
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    file = f"tables/{check}-{alias}.parquet"
    (directory / "tables").mkdir(exist_ok=True)
    pq.write_table(pa.table(rows), directory / file)
    return file


@functools.cache
def webp(source: Path) -> bytes:
    out = io.BytesIO()
    with Image.open(source) as image:
        image.convert("RGB").resize((224, 224)).save(out, "WEBP", quality=80)
    return out.getvalue()


def write_picture(directory: Path, source: Path, name: str) -> str:
    (directory / "pictures").mkdir(exist_ok=True)
    (directory / "pictures" / f"{name}.webp").write_bytes(webp(source))
    return f"pictures/{name}.webp"


def accuracy_item(
    directory: Path,
    alias: str,
    hits1: int = 17,
    hits5: int = 19,
    *,
    check: str = CHECK,
    **more: Any,
) -> log.Item:
    """An item with its files: four worst and four fair pictures; passes, wanting nothing."""
    metrics = accuracy_metrics(hits1, hits5)
    files = photographs()
    # Two classifiers share some pictures and not others, as in life.
    shift = len(alias) % 3
    chosen_by: dict[Literal["worst", "fair"], list[Path]] = {
        "worst": files[16 - shift : 20 - shift],
        "fair": files[2:6],
    }
    pictures = [
        log.Picture(
            image=path.name,
            file=write_picture(directory, path, f"{check}-{alias}-{path.stem}"),
            sample=sample,
            caption=f"{CLASS_NAMES[int(path.stem.rsplit('_', 1)[1])]}, seen as something",
        )
        for sample, chosen in chosen_by.items()
        for path in chosen
    ]
    judged = judgement(metrics[1], 0.5, Verdict.PASSED)
    fields: dict[str, Any] = {
        "id": f"{SUITE}::{check}[{alias}]", "suite": SUITE, "check": check, "classifier": alias,
        "measure": "accuracy", "images": "photographs", "verdict": Verdict.PASSED,
        "sentence": judged.sentence, "metrics": metrics, "references": HUMANS,
        "judgements": (judged,), "table": write_rows(directory, alias, hits1, check),
        "pictures": tuple(pictures), "seconds": 1.25,
        "validity": (
            log.Validity(
                name="finite logits", outcome="holds", evidence="20 of 20 rows are finite.",
                meaning="A network that gives NaN is right by accident.",
            ),
        ),
    }  # fmt: skip
    return log.Item(**fields | more)


def failed_item(directory: Path, alias: str = ALIASES[0]) -> log.Item:
    metrics = accuracy_metrics(8, 11)
    fell = judgement(metrics[1], 0.9, Verdict.FAILED)
    return accuracy_item(
        directory, alias, 8, 11, metrics=metrics, verdict=Verdict.FAILED, judgements=(fell,),
        sentence=fell.sentence,
    )  # fmt: skip


def every_verdict(directory: Path) -> tuple[log.Item, ...]:
    """One item for each verdict."""
    metrics = accuracy_metrics(17, 19)
    unclear = judgement(
        metrics[1], 0.9, Verdict.INCONCLUSIVE,
        sentence="0.95, at least 0.9 wanted: top5_accuracy, 95 % interval 0.76 to 0.99, n = 20; "
        "about 120 more images would decide",
    )  # fmt: skip
    warned = judgement(metrics[0], 0.99, Verdict.FAILED, severity="warn")
    broken = log.Validity(
        name="class order", outcome="falls",
        evidence="another order of the classes is right on 19 of 20, this one on 1.",
        meaning="Folder order taken for class order makes every number meaningless.",
    )  # fmt: skip
    bare: dict[str, Any] = {"suite": SUITE, "check": CHECK, "measure": "accuracy"}

    def item_id(alias: str) -> str:
        return f"{SUITE}::{CHECK}[{alias}]"

    return (
        accuracy_item(directory, "passes", judgements=(warned,)),
        failed_item(directory, "fails"),
        accuracy_item(
            directory, "unclear", verdict=Verdict.INCONCLUSIVE, judgements=(unclear,),
            sentence=unclear.sentence,
        ),
        accuracy_item(
            directory, "broken", verdict=Verdict.INVALID, validity=(broken,), judgements=(),
            sentence=f"INVALID: class order: {broken.evidence}",
        ),
        accuracy_item(
            directory, "seen", verdict=Verdict.RECORDED, judgements=(), sentence="recorded",
        ),
        log.Item(
            **bare, id=item_id("flat"), classifier="flat", verdict=Verdict.NOT_APPLICABLE,
            sentence="the images have no labels",
        ),
        log.Item(
            **bare, id=item_id("away"), classifier="away", verdict=Verdict.UNAVAILABLE,
            sentence="weights are not in the cache and there is no network",
        ),
    )  # fmt: skip


def classifier(alias: str, **more: Any) -> log.Classifier:
    fields: dict[str, Any] = {
        "alias": alias, "network": f"torchvision:{alias}", "weights": "IMAGENET1K_V1",
        "sha256": "7be5be79" * 8, "fingerprint": "c0ffee00" * 8,
        "input": "resize 256 bilinear, crop 224, mean 0.485 0.456 0.406, rgb",
        "classes": "imagenet (1000)", "class_names": CLASS_NAMES, "parameters": 61100840,
        "published": {"top1_accuracy": 0.56522, "top5_accuracy": 0.79066}, "load_seconds": 0.41,
    }  # fmt: skip
    return log.Classifier(**fields | more)


def make_run(*items: log.Item, **more: Any) -> log.Run:
    fields: dict[str, Any] = {
        "id": "20261123T081720-7f3a",
        "status": "finished",
        "started": "2026-11-23T08:17:20Z",
        "seconds": 21.4,
        "command": COMMAND,
        "settings": log.Settings(
            seed=7, device="cpu", device_name="a processor", batch_size=16, precision="fp32"
        ),
        "environment": log.Environment(
            versions={"python": "3.11.7", "torch": "2.14.0", "Pillow": "13.0.0"},
            platform="Linux x86_64", threads=2, commit="54ecae2", dirty=True,
        ),
        "suites": (
            log.Suite(
                path=SUITE, title="Accuracy on photographs",
                about="How often is the right answer among the first five?\n\nTwo people did the\n"
                "same task, and they were not perfect either.",
            ),
        ),
        "classifiers": tuple(
            classifier(alias) for alias in dict.fromkeys(item.classifier for item in items)
        ),
        "image_sets": (
            log.ImageSet(
                role="photographs", source="imagenet_samples", n=20, total=21, limit=20,
                fingerprint="5eed" * 16, oriented=1,
                unreadable=(log.Unreadable(image="broken.jpg", reason="ends after 312 bytes"),),
            ),
        ),
        "items": items,
        "walks": (
            log.Walk(
                images="photographs", n=20, seconds=3.1, decode_seconds=1.2, wait_seconds=0.31,
                forward_seconds=2.2, rows_seconds=0.11, picture_seconds=0.34,
            ),
        ),
        "warnings": ("UserWarning: a library said this",),
    }  # fmt: skip
    return log.Run(**fields | more)


VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """What a browser makes of a page: tags, attributes, text, ids, and whether tags close."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.headings: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.html = html
        self.feed(html)
        self.close()
        assert self._open == [], f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag in {"h1", "h2", "h3", "h4", "h5"}:
            self.headings.append((tag, ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        last = self._open.pop()
        assert last == tag, f"</{tag}> closes <{last}>"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            return
        self.texts.append(data)
        for level in ("h1", "h2", "h3", "h4", "h5"):
            if level in self._open:
                self.headings[-1] = (level, self.headings[-1][1] + data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture
def runs() -> ModuleType:
    """This module: with importlib mode a test cannot import its conftest by name."""
    return sys.modules[__name__]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[log.Run], Page]:
    return lambda run: Page(report.render(run, tmp_path))
