"""Runs as a session would leave them: a log, Parquet tables and WebP pictures."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
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

from vision_evals import log, report
from vision_evals.core.paths import data_folder
from vision_evals.log import Verdict
from vision_evals.measures import MEASURES, lookup

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
DECLARED = ("axis", "refines", "headline")
"""Of a metric, by its measure."""
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
        "method": "wilson", "source": "Russakovsky et al. 2015, section 4.1",
    }  # fmt: skip
    return log.Metric(**fields | more)


def accuracy_metrics(hits1: int, hits5: int) -> tuple[log.Metric, ...]:
    return (
        share("top1_accuracy", hits1),
        share("top5_accuracy", hits5),
        log.Metric(
            name="ece", value=0.1234, unit="fraction", n=20, denominator="images", low=0.0871,
            high=0.2913, confidence=0.95, method="bootstrap", higher_is_better=False,
            source="Guo et al. 2017, section 2",
        ),
        log.Metric(
            name="nll", value=0.8012, unit="nats", n=20, denominator="images", low=0.371,
            high=1.512, confidence=0.95, method="bootstrap", higher_is_better=False,
            source="Guo et al. 2017, section 2",
        ),
        log.Metric(
            name="expected_top1", value=None, unit="fraction", n=0, denominator="images",
            reason="no answers are known of this classifier", source="its model card",
        ),
    )  # fmt: skip


def judgement(metric: log.Metric, threshold: float, verdict: Verdict, **more: Any) -> log.Judgement:
    fields: dict[str, Any] = {
        "metric": metric.name, "side": "at_least", "threshold": threshold,
        "value": metric.value, "verdict": verdict,
        "excused": verdict is not Verdict.PASSED and bool({"known", "severity"} & {*more}),
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
                id="S2", name="finite logits", outcome="passed",
                evidence="20 of 20 rows are finite", source="Croce & Hein 2020",
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
        further="; about 120 more images would decide",
    )  # fmt: skip
    warned = judgement(metrics[0], 0.99, Verdict.FAILED, severity="warn")
    broken = log.Validity(
        id="S3", name="class order", outcome="failed", source="timm#2456",
        evidence="another order of the classes is right on 19 of 20, this one on 1",
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


SWEEP = ("0", "1/2040", "1/1020", "1/510", "1/255", "0.007", "4/255", "16/255")
BUDGETS = ("2/255", "4/255", "8/255")
WORKS = {
    "arcimboldo-librarian.jpg": ("The Librarian", "Giuseppe Arcimboldo", "c. 1566", "semantic"),
    "hokusai-great-wave.jpg": (
        "The Great Wave off Kanagawa", "Katsushika Hokusai", "c. 1831", "style",
    ),
    "leonardo-mona-lisa.jpg": ("Mona Lisa", "Leonardo da Vinci", "c. 1503", "style"),
    "van-gogh-starry-night.jpg": ("The Starry Night", "Vincent van Gogh", "1889", "style"),
}  # fmt: skip


def mean(name: str, at: str, value: float, n: int, of: str, **more: Any) -> log.Metric:
    """A mean confidence with a bootstrap interval where there is enough to draw from."""
    enough = n >= 10
    fields: dict[str, Any] = {
        "name": name, "at": at, "value": value if n else None, "unit": "fraction", "n": n,
        "denominator": of, "low": max(value - 0.08, 0.0) if enough else None,
        "high": min(value + 0.08, 1.0) if enough else None,
        "method": "bootstrap" if enough else None,
        "reason": None if enough else f"resampling {n} {of} is not reliable",
    }  # fmt: skip
    return log.Metric(**fields | more)


def fgsm_metrics(hits: tuple[int, ...], sweep: tuple[str, ...] = SWEEP) -> tuple[log.Metric, ...]:
    """Curves in the order in which the measure writes them: point by point."""
    lower: dict[str, Any] = {"higher_is_better": False}
    about = {
        "robust_accuracy": "Share of all images still named rightly after one step.",
        "robust_accuracy_8bit": "The same after rounding to 8 bits.",
        "noise_accuracy": "Share named rightly when every pixel moves by epsilon at random.",
        "attack_success": "Share of the images right when clean that are wrong after the step.",
    }
    clean = hits[0]
    metrics: list[log.Metric] = []
    for at, right in zip(sweep, hits, strict=True):
        metrics += [
            share("robust_accuracy", right, at=at),
            share("robust_accuracy_8bit", min(right + (at == "1/2040"), 20), at=at),
            share("noise_accuracy", max(clean - (at == "16/255") * 3, 0), at=at),
            share(
                "attack_success", clean - right, clean, at=at,
                denominator="images correct when clean", **lower,
            ),
            mean("confidence_on_mistakes", at, 0.42, 20 - right, "mistakes", **lower),
            log.Metric(
                name="noise_p_value", at=at, unit="probability", n=clean - right,
                value=0.5 ** (clean - right) if clean > right else None,
                reason="a test has no interval",
                denominator="images that only one of the two breaks", **lower,
            ),
        ]  # fmt: skip
    metrics.append(
        log.Metric(
            name="median_flip_epsilon", value=1 / 510, unit="epsilon", n=clean,
            denominator="images correct when clean", reason="a point of the sweep, not a sample",
        )
    )  # fmt: skip
    return tuple(m.model_copy(update={"about": about.get(m.name, m.about)}) for m in metrics)


@functools.cache
def triptych(source: Path, quality: int = 80) -> bytes:
    out = io.BytesIO()
    with Image.open(source) as image:
        small = image.convert("RGB").resize((224, 224))
    whole = Image.new("RGB", (672, 224))
    for place, part in enumerate((small, Image.effect_noise((224, 224), 90).convert("RGB"), small)):
        whole.paste(part, (224 * place, 0))
    whole.save(out, "WEBP", quality=quality)
    return out.getvalue()


def strips(directory: Path, name: str, third: str, n: int = 8) -> tuple[log.Picture, ...]:
    """Triptychs, half of them worst and half fair."""
    (directory / "pictures").mkdir(exist_ok=True)
    found = []
    for number, path in enumerate(photographs()[:n]):
        file = f"pictures/{name}-{path.stem}.webp"
        (directory / file).write_bytes(triptych(path))
        label = CLASS_NAMES[int(path.stem.rsplit("_", 1)[1])]
        found.append(
            log.Picture(
                image=path.name, file=file, sample="worst" if number < n / 2 else "fair",
                caption=f"seen as {label} 0.87, and as gibbon 0.99 after a change of at most 2",
                panels=(
                    log.Panel(title="image", answer=label, confidence=0.87, original=True),
                    log.Panel(
                        title="perturbation x 63.8", answer="dishrag, dishcloth", confidence=0.21
                    ),
                    log.Panel(title=third, answer="gibbon", confidence=0.99),
                ),
            )
        )  # fmt: skip
    return tuple(found)


def fgsm_item(
    directory: Path, alias: str, hits: tuple[int, ...] = (17, 11, 7, 3, 1, 0, 0, 2), **more: Any
) -> log.Item:
    metrics = fgsm_metrics(hits)
    judged = judgement(
        next(m for m in metrics if (m.name, m.at) == ("robust_accuracy", "1/1020")),
        0.05, Verdict.PASSED, at="1/1020",
    )  # fmt: skip
    fields: dict[str, Any] = {
        "id": f"suites/fgsm.toml::one-step[{alias}]", "suite": "suites/fgsm.toml",
        "check": "one-step", "classifier": alias, "measure": "fgsm", "images": "photographs",
        "parameters": {"epsilons": list(SWEEP)}, "verdict": Verdict.PASSED, "metrics": metrics,
        "sentence": judged.sentence, "judgements": (judged,),
        "pictures": strips(directory, f"fgsm-{alias}", "adversarial at 1/255"),
    }  # fmt: skip
    return declared(log.Item(**fields | more))


def targeted_item(directory: Path, alias: str, check: str, hits: tuple[int, ...]) -> log.Item:
    metrics = [
        metric
        for at, hit in zip(BUDGETS, hits, strict=True)
        for metric in (
            share("target_success", hit, at=at, denominator="images that are not the target"),
            share("target_success_8bit", hit, at=at, denominator="images that are not the target"),
            mean("target_confidence", at, hit / 22, 20, "images"),
            log.Metric(
                name="ssim", at=at, value=0.97, unit="similarity", n=20, denominator="images",
                reason="no interval is made",
            ),
        )
    ]  # fmt: skip
    return log.Item(
        id=f"suites/airplane.toml::{check}[{alias}]", suite="suites/airplane.toml", check=check,
        classifier=alias, measure="targeted", images="photographs", verdict=Verdict.RECORDED,
        parameters={"target": "airliner", "budgets": list(BUDGETS)}, sentence="recorded",
        metrics=tuple(metrics),
        pictures=strips(directory, f"{check}-{alias}", "adversarial at 4/255"),
    )  # fmt: skip


def art() -> log.ImageSet:
    keys = ("title", "artist", "year", "shift")
    about = {
        file: dict(zip(keys, told, strict=True)) | {"source": "Debian package"}
        for file, told in WORKS.items()
    }
    return log.ImageSet(role="art", source="art", n=len(WORKS), total=len(WORKS), about=about)


def art_item(directory: Path, alias: str, first: int = 455, **more: Any) -> log.Item:
    """Answers to works of art: no labels; the first work is answered surely, the second shakily."""
    rows = {
        "image": list(WORKS),
        "top5": [[455 if not number else first, *WRONG[:4]] for number in range(len(WORKS))],
        "top5_confidence": [[c, 0.1, 0.05, 0.02, 0.01] for c in (0.71, 0.34, 0.2, 0.1)],
        "confidence": [0.71, 0.34, 0.2, 0.1],
        "entropy": [1.2, 2.9, 3.8, 4.4],
        "stable": [True, False, True, True],
    }
    (directory / "tables").mkdir(exist_ok=True)
    file = f"tables/art-{alias}.parquet"
    pq.write_table(pa.table(rows), directory / file)
    folder = data_folder("fixtures") / "art"
    pictures = [
        log.Picture(
            image=name, file=write_picture(directory, folder / name, f"art-{alias}-{number}"),
            sample="fair" if number % 2 else "worst", caption=f"{WORKS[name][0]}",
        )
        for number, name in enumerate(WORKS)
    ]  # fmt: skip
    fields: dict[str, Any] = {
        "id": f"suites/art.toml::works[{alias}]", "suite": "suites/art.toml", "check": "works",
        "classifier": alias, "measure": "predictions", "images": "art",
        "verdict": Verdict.RECORDED, "sentence": "recorded", "table": file,
        "pictures": tuple(pictures),
        "metrics": (
            share("overconfident_fraction", 1, 4, higher_is_better=False),
            share("shift_stability", 3, 4),
        ),
    }  # fmt: skip
    return log.Item(**fields | more)


def lecture(directory: Path, **more: Any) -> log.Run:
    """The three demonstrations on two classifiers, with accuracy beside them."""
    first, second = ALIASES[:2]
    items = (
        failed_item(directory, first),
        accuracy_item(directory, second),
        fgsm_item(directory, first, (17, 11, 7, 3, 1, 0, 0, 2)),
        fgsm_item(directory, second, (19, 18, 16, 11, 6, 5, 3, 1)),
        *(
            targeted_item(directory, alias, check, hits)
            for check, hits in (("iterative", (9, 19, 20)), ("one-step", (0, 0, 1)))
            for alias in (first, second)
        ),
        art_item(directory, first),
        art_item(directory, second, 990),
    )
    plain = make_run(*items)
    titles = {
        "suites/fgsm.toml": "Fast gradient sign method",
        "suites/airplane.toml": "Everything is an airliner",
        "suites/art.toml": "Unusual art",
    }
    suites = [log.Suite(path=path, title=title) for path, title in titles.items()]
    fields = {"suites": (*plain.suites, *suites), "image_sets": (*plain.image_sets, art())}
    return plain.model_copy(update=fields | more)


def classifier(alias: str, **more: Any) -> log.Classifier:
    fields: dict[str, Any] = {
        "alias": alias, "network": f"torchvision:{alias}", "weights": "IMAGENET1K_V1",
        "sha256": "7be5be79" * 8, "fingerprint": "c0ffee00" * 8,
        "input": "resize 256 bilinear, crop 224, mean 0.485 0.456 0.406, rgb",
        "class_map": "imagenet", "class_count": 1000, "class_names": CLASS_NAMES,
        "parameters": 61100840,
        "published": {"top1_accuracy": 0.56522, "top5_accuracy": 0.79066}, "load_seconds": 0.41,
    }  # fmt: skip
    return log.Classifier(**fields | more)


def declared(item: log.Item) -> log.Item:
    """Return an item with what its measure declares, as a session writes it."""
    if item.measure not in MEASURES:
        return item
    spec = lookup(item.measure, Path())
    known = {metric.name: metric for metric in spec.metrics}
    metrics = tuple(
        metric.model_copy(
            update={name: getattr(known[metric.name], name) for name in DECLARED}
        )
        if metric.name in known
        else metric
        for metric in item.metrics
    )  # fmt: skip
    return item.model_copy(update={"metrics": metrics, "worst_first": spec.worst_first})


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
        "items": tuple(map(declared, items)),
        "passes": (
            log.PassRecord(
                images="photographs", n=20, seconds=3.1, decode_seconds=1.2, wait_seconds=0.31,
                forward_seconds=2.2, rows_seconds=0.11, picture_seconds=0.34,
            ),
        ),
        "warnings": ("UserWarning: a library said this",),
    }  # fmt: skip
    return log.Run(**fields | more)


LAYERS = ("stem.relu", "features.3.squeeze_activation", "features.3.expand1x1_activation",
          "features.3.expand3x3_activation", "features.4.squeeze_activation",
          "features.4.expand1x1_activation", "classifier.2.relu")  # fmt: skip


def epoch(number: int, quality: float, *, fate: str) -> log.Epoch:
    """Losses fall, ``stall`` with units that die, ``overfit`` after a third, or stop at epoch 2."""
    gone = fate == "diverge" and number > 2
    fall = 0.02 + 2.28 * 0.75**number * quality
    train = (
        None
        if number == 0
        else {"stall": 2.3 + 0.1 * quality, "diverge": 1e4**number}.get(fate, fall)
    )
    validation = fall + (0.05 * max(number - 4, 0) if fate == "overfit" else 0.05)
    dead = min(0.1 + 0.2 * number, 0.9) * quality if fate == "stall" else 0.04 * quality
    return log.Epoch(
        epoch=number,
        steps=23 * number,
        losses=() if number == 0 else tuple(2.3 / (1 + step) for step in range(40)),
        train_loss=None if gone else train,
        train_accuracy=None if train is None else 1 - min(fall / 2.5, 0.9),
        validation_loss=None if gone else (2.35 if fate == "stall" else validation),
        validation_accuracy=1 - min(fall / 2.3, 0.9),
        dead_fraction=None if fate == "smooth" else dead,
        dead_by_layer={} if fate == "smooth" else {"relu1": dead, "relu2": dead / 2},
        died=3 * number if fate == "stall" else 1,
        revived=number % 2,
        saturated_fraction=0.3 * quality,
        gradient_ratio=None if number == 0 else 0.2,
    )


def training(seed: int, epochs: int = 6, fate: str = "learn", **more: Any) -> log.Training:
    """A training whose losses depend on the seed a little."""
    walked = range(4 if fate == "diverge" else epochs + 1)
    quality = 1 - 0.08 * ((seed * 3) % 5)
    fields: dict[str, Any] = {
        "seed": seed, "data": "digits", "train_images": 1437, "validation_images": 360,
        "epochs": tuple(epoch(number, quality, fate=fate) for number in walked),
        "returned_epoch": None if fate == "diverge" else epochs,
        "diverged": "a loss of epoch 3 is not finite" if fate == "diverge" else None,
        "small_weight_fraction": 0.019 + 0.001 * seed, "seconds": 1.5 + 0.01 * seed,
        "cached": seed > 2,
    }  # fmt: skip
    return log.Training(**fields | more)


def recipe(**more: Any) -> dict[str, Any]:
    """A recipe as the log writes it: defaults written out."""
    optimizer = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0, "l1": 0.0}
    return {
        "data": "digits", "root": None, "examples": None, "validation": 0.2, "size": None,
        "optimizer": optimizer, "epochs": 6, "batch_size": 64, "seeds": [0, 1, 2, 3, 4],
        "activation": None, "init": "default", "bias_start": None, "dropout": 0.5,
        "augment": None, "early_stopping": None,
    } | more  # fmt: skip


def taught(alias: str, fate: str = "learn", epochs: int = 6, **more: Any) -> log.Classifier:
    """A classifier that five seeds of a recipe were trained for."""
    trainings = tuple(training(seed, epochs, fate) for seed in range(5))
    fields: dict[str, Any] = {
        "network": "small_cnn", "weights": None, "sha256": None, "published": {},
        "class_map": "digits", "class_count": 10, "class_names": tuple("0123456789"),
        "recipe": recipe(), "trainings": trainings,
    }  # fmt: skip
    return classifier(alias, **fields | more)


def spread(name: str, *values: float, **more: Any) -> log.Metric:
    """A metric of a recipe: one value a seed, and their median."""
    fields: dict[str, Any] = {
        "name": name, "value": sorted(values)[len(values) // 2], "unit": "fraction", "n": 360,
        "denominator": "images", "spread": values,
        "reason": f"the median of {len(values)} trainings, seeds 0 to {len(values) - 1}: "
        f"{min(values):.4g} to {max(values):.4g}",
    }  # fmt: skip
    return log.Metric(**fields | more)


def by_layer(*shares: float | None) -> log.Plot:
    """One value a layer, for several seeds where there are several rows."""
    return log.Plot(
        title="Dead units by layer", about="In the order of the forward pass.", x_label="layer",
        y_label="share of units", ticks=LAYERS, share=True,
        lines=tuple(
            log.Line(
                name=word, seed=seed, x=tuple(map(float, range(len(LAYERS)))),
                y=tuple(
                    None if value is None else value * weight * (1 - 0.05 * seed)
                    for value in shares
                ),
            )
            for word, weight in (("dead", 1.0), ("mostly zero", 1.1))
            for seed in range(5)
        ),
    )  # fmt: skip


def response(words: tuple[str, ...] = ("airliner", "warplane", "gibbon")) -> log.Plot:
    """Figure 4: logits over epsilon on both sides."""
    xs = tuple(k * 0.001 for k in range(-16, 17))
    lines = tuple(
        log.Line(name=word, x=xs, y=tuple(9 - rank * 2 + (-1) ** rank * 180 * x for x in xs))
        for rank, word in enumerate(words)
    )
    marks = (log.Mark(x=0, label="the image"), log.Mark(x=0.0056, label="crossing"))
    return log.Plot(
        title="Logits along the gradient's sign",
        x_label="epsilon",
        y_label="logit",
        lines=lines,
        marks=marks,
    )


def dead_item(alias: str, *values: float, **more: Any) -> log.Item:
    """A check on a recipe, without pictures."""
    metric = spread("dead_fraction", *values, higher_is_better=False)
    told = judgement(
        metric.model_copy(update={"low": 0.0, "high": 1.0}), 0.2, Verdict.PASSED,
        sentence=f"{metric.value:.4g}, at most 0.2 wanted: dead_fraction, no interval "
        f"({metric.reason}), n = 360",
    )  # fmt: skip
    fields: dict[str, Any] = {
        "id": f"suites/dead_relu.toml::digits[{alias}]", "suite": "suites/dead_relu.toml",
        "check": "digits", "classifier": alias, "measure": "dead_relu", "images": "digits",
        "verdict": Verdict.PASSED, "sentence": told.sentence, "judgements": (told,),
        "metrics": (metric, spread("gradient_norm", 0.31, 0.4, 0.9, unit="ratio")),
        "plots": (by_layer(*(value for value in (*values, *values)[: len(LAYERS)])),),
    }  # fmt: skip
    return log.Item(**fields | more)


def descent() -> log.Item:
    """A closed-form check: no image set, and a subject that is no classifier of the log."""
    xs = tuple(map(float, range(120)))
    lines = tuple(
        log.Line(name=name, x=xs, y=tuple(scale * ratio**x for x in xs))
        for name, scale, ratio in (("loss", 0.8, 0.877), ("the bound", 1.0, 0.88))
    )
    plot = log.Plot(
        title="Steepest descent", about="k = 30.234", x_label="step", y_label="loss", lines=lines
    )
    metric = log.Metric(
        name="worst_ratio", value=0.99, unit="ratio", n=120, denominator="steps",
        reason="a closed form has no interval",
    )  # fmt: skip
    return log.Item(
        id="suites/training.toml::descent[quadratic]", suite="suites/training.toml",
        check="descent", classifier="quadratic", measure="training", verdict=Verdict.RECORDED,
        sentence="recorded", metrics=(metric,), plots=(plot,),
    )  # fmt: skip


def response_item(directory: Path, alias: str) -> log.Item:
    """Pictures with a plot below: triptychs, and one without panels."""
    pictures = tuple(
        picture.model_copy(update={"plot": response(), "panels": picture.panels if rank else ()})
        for rank, picture in enumerate(strips(directory, f"linear-{alias}", "at 4/255", 4))
    )
    return log.Item(
        id=f"suites/linear_response.toml::line[{alias}]", suite="suites/linear_response.toml",
        check="line", classifier=alias, measure="linear_response", images="photographs",
        verdict=Verdict.RECORDED, sentence="recorded", pictures=pictures,
        metrics=(share("wrong_class_stable", 14),), plots=(response(),),
    )  # fmt: skip


def trained_run(directory: Path, **more: Any) -> log.Run:
    """Recipes of every fate, a closed form, and a pretrained network with figure 4."""
    cards = (
        taught("small_step", recipe=recipe(early_stopping={"patience": 3})),
        taught("large_step", "stall", recipe=recipe(optimizer={"name": "sgd", "lr": 1.0})),
        taught("reckless", "diverge", recipe=recipe(bias_start=-1.0)),
        taught("tanh", "smooth", recipe=recipe(activation="tanh")),
        taught("unseen", "overfit", epochs=12),
        classifier("pretrained"),
    )
    items = (
        dead_item("small_step", 0.04, 0.03, 0.05, 0.04, 0.02),
        dead_item("large_step", 0.88, 0.2316, 0.86, 0.9, 0.913),
        dead_item("reckless", 0.99),
        dead_item("tanh", 0.0, 0.0, id="suites/activations.toml::tanh[tanh]", check="tanh",
                  suite="suites/activations.toml", plots=()),
        descent(),
        response_item(directory, "pretrained"),
    )  # fmt: skip
    suites = (log.Suite(path="suites/dead_relu.toml", title="Dead ReLUs"),)
    return make_run(*items, **{"classifiers": cards, "suites": suites} | more)


VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """What a browser makes of a page: tags, attributes, text, ids, and whether tags close."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.headings: list[tuple[str, str]] = []
        self.specs: list[dict[str, Any]] = []
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
        if self._open and self._open[-1] == "script":
            if self.tags[-1][1].get("class") == "spec":
                self.specs.append(json.loads(data))
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
