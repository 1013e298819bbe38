"""A real run, and what JUnit, GitHub and MLflow are told of it."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from mlflow import MlflowClient

from vision_evals import log
from vision_evals.log import Verdict
from vision_evals.report.export.escape import without_password
from vision_evals.report.export.tracking import settled, track

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.report.export.conftest import Judged

    Python = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

VERDICTS = {
    "holds": Verdict.PASSED,
    "falls": Verdict.FAILED,
    "unsure": Verdict.INCONCLUSIVE,
    "nothing-but-nan": Verdict.INVALID,
    "stepped": Verdict.PASSED,
    "absent": Verdict.UNAVAILABLE,
    "unlabelled": Verdict.NOT_APPLICABLE,
    "gone": Verdict.INVALID,
}


@pytest.mark.slow
def test_the_run_has_one_of_each(judged: Judged) -> None:
    assert {item.check: item.verdict for item in judged.run.items} == VERDICTS
    assert judged.done.returncode == 1
    assert "Traceback" not in judged.done.stdout + judged.done.stderr
    assert "\nwarning: the run was not logged" not in judged.done.stdout


# The log and its schema


@pytest.mark.slow
def test_the_log_is_what_its_schema_says(judged: Judged, python: Python) -> None:
    printed = python(
        judged.folder, "-c", "from vision_evals.cli import main; main(['schema', 'run'])"
    )
    schema = json.loads(printed.stdout)
    data = json.loads((judged.folder / "runs" / "latest" / "run.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)
    data["items"][0]["verdict"] = "splendid"
    with pytest.raises(jsonschema.ValidationError, match="splendid"):
        jsonschema.validate(data, schema)
    assert schema["$defs"]["Item"]["properties"]["sentence"]["description"]


@pytest.mark.slow
def test_the_log_knows_the_line_of_each_check(judged: Judged) -> None:
    lines = (judged.folder / "suites" / "each.toml").read_text("utf-8").splitlines()
    for item in judged.run.items:
        assert item.line is not None
        assert lines[item.line - 1] == "[[check]]"
        assert lines[item.line] == f'name = "{item.check}"'


# JUnit


def cases(judged: Judged) -> dict[str, dict[str, str]]:
    found = {}
    for case in ET.parse(judged.folder / "junit.xml").iter("testcase"):
        pairs = [(p.attrib["name"], p.attrib["value"]) for p in case.iter("property")]
        assert len(pairs) == len(dict(pairs))  # setup, call and teardown tell it once
        found[case.attrib["name"].partition("[")[0]] = dict(pairs)
    return found


@pytest.mark.slow
def test_junit_knows_every_verdict(judged: Judged) -> None:
    assert {name: facts["evals_verdict"] for name, facts in cases(judged).items()} == VERDICTS


@pytest.mark.slow
def test_junit_has_every_judgement_as_the_log_has_it(judged: Judged) -> None:
    found, seen = cases(judged), 0
    for item in judged.run.items:
        facts = found[item.check]
        assert math.isclose(float(facts["evals_seconds"]), item.seconds, abs_tol=1e-6)
        names: list[str] = []
        for judgement in item.judgements:
            at = "" if judgement.at is None else f"_at_{judgement.at.replace('/', '-')}"
            name = f"evals_{judgement.metric}{at}"
            name += "_2" if name in names else ""
            names.append(name)
            (metric,) = [
                m for m in item.metrics if (m.name, m.at) == (judgement.metric, judgement.at)
            ]
            assert float(facts[f"{name}_value"]) == judgement.value  # every digit
            assert float(facts[f"{name}_threshold"]) == judgement.threshold
            for end, value in (("low", metric.low), ("high", metric.high)):
                written = facts.get(f"{name}_{end}")  # under 100 images ece has no interval
                assert (written is None) == (value is None) == (judgement.metric == "ece")
                assert value is None or float(str(written)) == value
            assert int(facts[f"{name}_n"]) == 12
            assert facts[f"{name}_verdict"] == judgement.verdict
            seen += 1
    assert seen == 6
    assert found["stepped"]["evals_robust_accuracy_at_4-255_at"] == "4/255"
    every = {name for facts in found.values() for name in facts}
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in every)


# Markdown


@pytest.mark.slow
def test_the_summary_is_appended_and_the_file_is_the_same(judged: Judged) -> None:
    summary = (judged.folder / "summary.md").read_text("utf-8")
    page = (judged.folder / "out" / "run.md").read_text("utf-8")
    assert summary == f"what an earlier command of the step wrote\n\n{page}"
    assert page.startswith("## 4 of 6 judged checks did not pass\n")
    assert "| <b>falls</b> \\[color\\] | top1\\_accuracy | 0.92 (0.65 to 0.99) | 12 |" in page
    assert "\npytest 'suites/each.toml::falls[color]'\n" in page
    assert "Unavailable: <b>absent</b> \\[alexnet\\]." in page
    assert "Not applicable: <b>unlabelled</b> \\[color\\]." in page
    assert f"Log: runs/{judged.run.id}/run.json; report: runs/{judged.run.id}/report.html" in page


# Annotations


@pytest.mark.slow
def test_each_check_that_fell_is_remarked_on_its_line(judged: Judged) -> None:
    said = [line for line in judged.done.stdout.splitlines() if line.startswith("::")]
    lines = {item.check: item.line for item in judged.run.items}
    heads = [line.split("::")[1] for line in said]
    assert heads == [
        f"{level} file=suites/each.toml,line={lines[check]},title={title}"
        for level, check, title in [
            ("error", "nothing-but-nan", "nothing-but-nan[nan]%3A invalid"),
            ("error", "gone", "gone[color]%3A invalid"),
            ("error", "falls", "falls[color]%3A failed"),
            ("error", "unsure", "unsure[color]%3A inconclusive"),
            ("warning", "holds", "holds[color]%3A warning%2C failed"),
        ]
    ]
    assert "95 %25 interval" in said[2]


# MLflow, read back by its own client


@pytest.fixture(scope="module")
def client(judged: Judged) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{judged.folder / 'mlflow.db'}")


def runs(client: MlflowClient) -> dict[str, Any]:
    (experiment,) = [e for e in client.search_experiments() if e.name == "vision-evals"]
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


@pytest.mark.slow
def test_mlflow_has_a_run_and_a_child_for_each_classifier(
    judged: Judged, client: MlflowClient
) -> None:
    run = judged.run
    found = runs(client)
    assert set(found) == {run.id, "color", "nan", "alexnet"}
    parent = found[run.id]
    assert parent.info.status == "FINISHED"
    assert parent.info.end_time - parent.info.start_time == round(1000 * run.seconds)
    counts = {str(v): str(list(VERDICTS.values()).count(v)) for v in set(VERDICTS.values())}
    for verdict, count in counts.items():
        assert parent.data.tags[f"evals.{verdict}"] == count
    assert parent.data.params["seed"] == "0"
    for alias in ("color", "nan", "alexnet"):
        assert found[alias].data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert found["color"].data.tags["evals.verdict"] == "invalid"
    assert found["color"].data.tags["evals.check/suites/each/falls"] == "failed"
    (classifier,) = [c for c in run.classifiers if c.alias == "color"]
    assert found["color"].data.params["fingerprint"] == classifier.fingerprint
    assert found["color"].data.params["network"] == "nets:Color"
    assert found["color"].data.params["suites/each/stepped/epsilons"] == '[0, "4/255"]'


@pytest.mark.slow
def test_mlflow_has_every_number_of_the_log(judged: Judged, client: MlflowClient) -> None:
    wanted: dict[str, float] = {}
    for item in judged.run.items:
        for metric in item.metrics:
            at = "" if metric.at is None else f" at {metric.at.replace('/', '_')}"
            name = f"suites/each/{item.check}/{metric.name}{at}"
            numbers = {"": metric.value, ".low": metric.low, ".high": metric.high}
            numbers |= {".n": metric.n if metric.value is not None else None}
            wanted |= {name + end: v for end, v in numbers.items() if v is not None}
    assert runs(client)["color"].data.metrics == wanted
    assert len(wanted) > 20
    assert runs(client)["nan"].data.metrics == {}


@pytest.mark.slow
def test_mlflow_has_log_and_report(judged: Judged, client: MlflowClient, tmp_path: Path) -> None:
    parent = runs(client)[judged.run.id].info.run_id
    assert {file.path for file in client.list_artifacts(parent)} == {"run.json", "report.html"}
    copy = client.download_artifacts(parent, "run.json", str(tmp_path))
    assert log.read(Path(copy)) == judged.run


@pytest.mark.slow
def test_a_file_store_holds_the_same_where_mlflow_still_allows_one(
    judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = judged.folder / "runs" / "latest"
    said = track(f"file:{tmp_path}", directory, None)
    assert said is not None
    assert "MLFLOW_ALLOW_FILE_STORE=true" in said
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "nightly")
    before = dict(os.environ)
    assert track(f"file:{tmp_path}", directory, None) is None
    assert dict(os.environ) == before
    client = MlflowClient(tracking_uri=f"file:{tmp_path}")
    known = client.get_experiment_by_name("nightly")
    assert known is not None
    assert len(client.search_runs([known.experiment_id])) == 4


@pytest.mark.slow
def test_a_server_that_is_not_there_is_a_warning_and_the_verdict_stands(
    judged: Judged, python: Python
) -> None:
    with socket.socket() as closed:  # bound and not listening: nobody else gets this port
        closed.bind(("127.0.0.1", 0))
        uri = f"http://me:secret@127.0.0.1:{closed.getsockname()[1]}"
        words = ["suites/each.toml::holds", "-W", "error", f"--evals-mlflow={uri}"]
        folder = judged.folder
        done = python(folder, "-m", "pytest", *words, "--evals-run-dir=other", "-k", "holds")
    assert done.returncode == 0
    (warning,) = [n for n in done.stdout.splitlines() if n.startswith("warning: the run was not")]
    assert "Connection refused" in warning
    assert "`evals mlflow " in warning
    everywhere = done.stdout + done.stderr
    everywhere += (folder / "other" / "latest" / "run.json").read_text("utf-8")
    everywhere += (folder / "other" / "latest" / "report.html").read_text("utf-8")
    assert "secret" not in everywhere.replace(words[3], "")


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up(judged: Judged) -> None:
    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said = track(uri, judged.folder / "runs" / "latest", None, seconds=6)
    assert said is not None
    assert "no answer within 6 s" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "said"),
    [("foo://bar", "unsupported URI"), ("sqlite:///nets.py/at.db", "not logged to MLflow")],
)
def test_an_address_that_is_none_is_a_sentence(
    judged: Judged, uri: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(judged.folder)
    told = track(uri, judged.folder / "runs" / "latest", None)
    assert told is not None
    assert said in told
    assert "\n" not in told


@pytest.mark.slow
def test_mlflow_that_is_not_installed_names_the_extra(
    judged: Judged, python: Python, tmp_path: Path
) -> None:
    (tmp_path / "mlflow.py").write_text("raise ImportError('none here')", encoding="utf-8")
    code = "from vision_evals.cli import main; raise SystemExit(main())"
    run = str(judged.folder / "runs" / "latest")
    done = python(tmp_path, "-c", code, "mlflow", run, "--to", "sqlite:///x.db")
    assert done.returncode == 1
    assert done.stderr == (
        "evals: MLflow is not installed (none here); pip install 'vision-evals[mlflow]'\n"
    )
    done = python(tmp_path, "-c", code, "mlflow", run)
    assert "give --to URI, or set MLFLOW_TRACKING_URI" in done.stderr


@pytest.mark.slow
def test_mlflow_tells_nobody(python: Python, tmp_path: Path) -> None:
    """In the environment we give it, its telemetry has no client."""
    code = "import mlflow.telemetry.client as c; print(c.get_telemetry_client() is None)"
    assert python(tmp_path, "-c", code, variables=settled({})).stdout.strip() == "True"


def test_what_the_user_set_of_timeouts_stands() -> None:
    ours = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "99", "DO_NOT_TRACK": "false"}
    assert settled(ours)["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99"
    assert settled(ours)["DO_NOT_TRACK"] == "true"


def test_passwords() -> None:
    assert without_password("a http://me:pw@h/x, https://h/y") == "a http://***@h/x, https://h/y"
    assert without_password("sqlite:///a@b.db") == "sqlite:///a@b.db"
    for secret in ("me:p/w", "me:p@w", "me:/p/@/w@", "me:p?w#x", "to/ken", ":/w"):
        assert without_password(f"to https://{secret}@h:5/x now") == "to https://***@h:5/x now"
