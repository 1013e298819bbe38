"""The run log: documented, strict, atomic, and honest about what it cannot read."""

from __future__ import annotations

import json
from pathlib import Path

import pydantic
import pytest

from vision_evals import log
from vision_evals.core.errors import UserError


def run(**more: object) -> log.Run:
    fields: dict[str, object] = {
        "id": "x",
        "status": "finished",
        "started": "2026-01-01T00:00:00+00:00",
        "command": "pytest",
        "settings": log.Settings(device="cpu", device_name="cpu", batch_size=1),
        "environment": log.Environment(versions={}, platform="Linux", threads=1),
    }
    return log.Run.model_validate({**fields, **more})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    log.write(run(), tmp_path)
    assert log.read(tmp_path) == log.read(tmp_path / "run.json") == run()
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    data = run().model_dump(mode="json") | {"version": log.VERSION + 1, "new": 1}
    (tmp_path / "run.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match="written in format 4, this version reads up to 3; upgrade"):
        log.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such run; name a folder that holds run.json"),
        ("{", "not a readable run log"),
        ('{"version": 3, "n": 10000000000000000000}', "log: a whole number of 20 digits"),
        ("[]", "not a run log"),
        ('{"version": 1}', "not a run log: id: Field required"),
        ('{"version": "1a"}', "not a run log: version"),
    ],
)
def test_damage_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        log.read(tmp_path)


def test_nan_never_enters_the_log() -> None:
    with pytest.raises(pydantic.ValidationError, match="finite"):
        log.Metric(name="m", value=float("nan"), unit="fraction", n=1, denominator="images")


def test_every_field_is_documented() -> None:
    records = [
        record
        for record in vars(log).values()
        if isinstance(record, type) and issubclass(record, log.Record) and record is not log.Record
    ]
    assert len(records) > 10
    for record in records:
        for name, field in record.model_fields.items():
            plain = name in {
                "settings",
                "environment",
                "suites",
                "classifiers",
                "image_sets",
                "items",
                "passes",
            }
            assert field.description or plain, f"{record.__name__}.{name}"


def test_a_change_of_a_metric_that_was_not_measured_is_refused() -> None:
    change = log.Change(metric="top1_accuracy", before=0.5, now=0.5)
    known = {"id": "i", "suite": "s", "check": "c", "classifier": "n", "measure": "accuracy"}
    known |= {"verdict": "passed", "sentence": ""}
    comparison = log.Comparison(run="r", alias="n", changes=(change,)).model_dump()
    log.Item.model_validate(known)
    with pytest.raises(ValueError, match="a change of top1_accuracy, which it did not measure"):
        log.Item.model_validate({**known, "comparison": comparison})
