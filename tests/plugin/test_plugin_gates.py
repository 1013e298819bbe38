"""Gates against a baseline as a person meets them: real runs, real checkpoints, real verdicts."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.stats import binomtest

from tests.forked import forked_python
from tests.inner import last_run, warm
from tests.project import CLASSES, card, shades, suite, write
from vision_evals import log
from vision_evals.cli import main
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)

NETS = """
import torch
from torch import nn

class Leaning(nn.Module):
    '''Says which channel is brightest, leaning to one of them.'''
    def __init__(self):
        super().__init__()
        self.lean = nn.Parameter(torch.zeros(3))
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 255 + self.lean
"""

SUITE = suite("Gate", '{ metric = "top1_accuracy", at_least = { of = "baseline", minus = 0.02 } }')

STRENGTHS = 40
"""Pictures a colour: that of strength s leads its own channel by s levels of 255."""

N = 3 * STRENGTHS


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm")
    warm(folder, furnish, "gate.toml", "--evals-model=net@even.safetensors")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    furnish(pytester.path)
    return pytester


def furnish(folder: Path) -> None:
    files = {
        "pyproject.toml": '[tool.evals]\nrun_dir = "runs"\n'
        + card("net", "leaning:Leaning", side=8),
        "leaning.py": NETS,
        "classes.txt": CLASSES,
        "gate.toml": SUITE,
    }
    write(folder, files)
    shades(folder / "pictures", range(1, STRENGTHS + 1), 8, "{lead}.png")
    # a lean of k + 1/2 to blue turns the red and green pictures of strength 1 to k
    for name, lean in (("even", 0.0), ("hair", 0.25), ("one", 1.5), ("ten", 10.5)):
        save_file({"lean": torch.tensor([0.0, 0.0, lean])}, folder / f"{name}.safetensors")


def gate(project: pytest.Pytester, checkpoint: str, *more: str) -> log.Item:
    project.runpytest("gate.toml", f"--evals-model=net@{checkpoint}.safetensors", *more)
    (item,) = last_run(project).items
    return item


@pytest.fixture
def baseline(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project that has accepted the checkpoint ``even``, which is right on every picture."""
    monkeypatch.chdir(project.path)
    item = gate(project, "even")
    assert item.verdict is Verdict.INCONCLUSIVE
    assert "there is no baseline; name one with --evals-baseline RUN" in item.sentence
    assert main(["accept", "runs/latest"]) == 0  # nothing but a baseline was missing
    return project


def test_a_checkpoint_that_got_worse_fails(baseline: pytest.Pytester) -> None:
    result = baseline.runpytest(
        "gate.toml", "--evals-model=net@ten.safetensors", "--evals-baseline=baseline"
    )
    assert result.ret == 1
    (item,) = last_run(baseline).items
    assert item.verdict is Verdict.FAILED
    (judgement,) = item.judgements
    assert judgement.gate is not None
    found = judgement.gate.paired
    assert (found.n, found.worse, found.better) == (N, 20, 0)
    assert found.difference == pytest.approx(-20 / N)
    assert found.high < -0.02
    assert found.confidence == 0.9
    assert found.p_value == pytest.approx(binomtest(20, 20, alternative="greater").pvalue)
    assert judgement.threshold == pytest.approx(0.98)
    assert item.sentence.startswith(
        "0.8333, at least that of the baseline - 0.02 = 0.98 wanted: top1_accuracy, -0.1667 on "
        "the same images, 90 % interval -0.2"
    )
    assert item.sentence.endswith("n = 120, 20 worse and 0 better")


@pytest.mark.usefixtures("whole_run")
def test_flips_are_told_with_both_answers_and_a_picture(baseline: pytest.Pytester) -> None:
    item = gate(baseline, "ten", "--evals-baseline=baseline")
    run = last_run(baseline)
    told = item.comparison
    assert told is not None
    assert told.flips is not None
    assert (told.flips.worse, told.flips.better, told.flips.n) == (20, 0, N)
    assert len(told.flips.lost) == 12
    for flip in told.flips.lost:
        assert flip.label in {"red", "green"}
        assert flip.image.startswith(flip.label)
        assert flip.before.name == flip.label
        assert flip.now.name == "blue"
    surest = [flip.now.confidence for flip in told.flips.lost]
    assert surest == sorted(surest, key=lambda c: -(c or 0))
    # the log is read back by hand: both answers stand in the two tables
    tables = [
        pd.read_parquet(folder / item.table).set_index("image")  # type: ignore[operator]
        for folder in (baseline.path / "baseline", baseline.path / "runs" / "latest")
    ]
    lost = tables[0].index[tables[0]["correct1"] & ~tables[1]["correct1"]]
    assert {flip.image for flip in told.flips.lost} <= set(lost)
    assert len(lost) == told.flips.worse
    for flip in told.flips.lost:
        assert flip.before.confidence == tables[0].loc[flip.image, "confidence"]
        assert flip.file is not None
        with Image.open(baseline.path / "runs" / "latest" / flip.file) as picture:
            assert picture.format == "WEBP"
    page = (baseline.path / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    assert "20 images turned wrong" in page
    assert page.index('id="beside"') < page.index('id="failed"')
    assert "1 paired gate applied, of 1 written" in page
    assert "0.05 of them would fail" in page
    assert run.baseline is not None
    assert run.suites[0].gates == 1


def test_an_equal_checkpoint_passes_within_the_margin(baseline: pytest.Pytester) -> None:
    item = gate(baseline, "hair", "--evals-baseline=baseline")
    assert item.verdict is Verdict.INCONCLUSIVE
    # no flip among 120 images rules out a drop of z^2 / (n + z^2) only: 2.2 points
    assert "more images would give this gate a power of 80 %" in item.sentence
    wide = SUITE.replace("0.02", "0.03")
    baseline.path.joinpath("gate.toml").write_text(wide, encoding="utf-8")
    assert gate(baseline, "hair", "--evals-baseline=baseline").verdict is Verdict.PASSED


def test_a_log_of_an_older_format_is_a_baseline(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    for picture in [*(project.path / "pictures").rglob("*.png")]:
        with Image.open(picture) as image:
            image.save(picture.with_suffix(".bmp"))  # of these every version writes the same bytes
        picture.unlink()
    older = Path(__file__).parents[1] / "log_fixtures" / "gate"
    assert json.loads((older / "run.json").read_text("utf-8"))["version"] < log.VERSION
    item = gate(project, "even", f"--evals-baseline={older}", "--evals-device=cpu")
    assert item.verdict is Verdict.PASSED, item.sentence
    assert item.judgements[0].gate is not None
    found = item.judgements[0].gate.paired
    assert (found.n, found.worse, found.better) == (N, 0, 20), "the log is of the checkpoint ten"
    assert item.comparison is not None
    assert item.comparison.flips is not None
    assert len(item.comparison.flips.won) == 12


def test_without_a_margin_mcnemar_decides(baseline: pytest.Pytester) -> None:
    bare = SUITE.replace(", minus = 0.02", "")
    baseline.path.joinpath("gate.toml").write_text(bare, encoding="utf-8")
    item = gate(baseline, "one", "--evals-baseline=baseline")
    assert item.judgements[0].gate is not None
    assert item.judgements[0].gate.paired.p_value == 0.25  # two flips, both for the worse
    assert item.verdict is Verdict.PASSED
    assert "no loss shown: these images show a loss of 0." in item.sentence
    assert gate(baseline, "ten", "--evals-baseline=baseline").verdict is Verdict.FAILED


def test_a_network_is_not_compared_with_itself(baseline: pytest.Pytester) -> None:
    item = gate(baseline, "even", "--evals-baseline=baseline")
    assert item.verdict is Verdict.INVALID
    assert "the very same network" in item.sentence
    result = baseline.runpytest(
        "gate.toml",
        "--evals-model=net@even.safetensors",
        "--evals-baseline=baseline",
        "--evals-same=skip",
    )
    result.assert_outcomes(skipped=1)
    assert result.ret == 0  # a change that touches no checkpoint is no failure
    assert last_run(baseline).items[0].verdict is Verdict.NOT_APPLICABLE


def test_another_alias_of_the_baseline(baseline: pytest.Pytester) -> None:
    model = "--evals-model=new=net@ten.safetensors"
    for named in ("baseline", "baseline:net"):  # it has no other network than that
        result = baseline.runpytest("gate.toml", model, f"--evals-baseline={named}")
        result.assert_outcomes(failed=1)
        told = last_run(baseline).items[0].comparison
        assert told is not None
        assert told.alias == "net"
    baseline.runpytest(
        "gate.toml",
        "--evals-model=one=net@even.safetensors",
        "--evals-model=two=net@one.safetensors",
    )
    result = baseline.runpytest("gate.toml", model, "--evals-baseline=runs/latest")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*judged no "new"; did you mean "one"*runs/latest:ALIAS*'])
    result = baseline.runpytest("gate.toml", model, "--evals-baseline=baseline:nett")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(['*judged no "nett"; did you mean "net"*'])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("crop = 8", "crop = 6"), "preprocessing: resize 8 * there, * here"),
        (("mean = [0", "mean = [0.5"), "preprocessing: * there, * here"),
        (("run_dir", "seed = 3\nrun_dir"), "seed: 0 there, 3 here"),
        (("run_dir", "limit = 100\nrun_dir"), "120 of 120 images there, 100 of 120 here"),
    ],
)
def test_what_differs_is_named_before_anything_is_measured(
    baseline: pytest.Pytester, change: tuple[str, str], said: str
) -> None:
    file = baseline.path / "pyproject.toml"
    file.write_text(file.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    result = baseline.runpytest(
        "gate.toml", "--evals-model=net@ten.safetensors", "--evals-baseline=baseline"
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*not comparable with this check, *{said}*"])


def test_another_precision_is_compared_under_the_margin_alone(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    cpu = "--evals-device=cpu"
    convolved = NETS.replace(
        "    def forward", "        self.first = nn.Conv2d(3, 3, 1, bias=False)\n    def forward"
    ).replace("pixels.mean", "self.first(pixels).mean")
    project.path.joinpath("leaning.py").write_text(convolved, encoding="utf-8")
    for name, lean in (("even", 0.0), ("hair", 0.25)):
        weights = {
            "lean": torch.tensor([0.0, 0.0, lean]),
            "first.weight": torch.eye(3)[..., None, None],
        }
        save_file(weights, project.path / f"{name}.safetensors")
    file = project.path / "gate.toml"
    file.write_text(SUITE.replace("0.02", "0.03"), encoding="utf-8")
    gate(project, "even", cpu)
    assert main(["accept", "runs/latest"]) == 0
    rough = "--evals-baseline=baseline", "--evals-precision=bf16", cpu
    item = gate(project, "hair", *rough)
    (fast_path,) = last_run(project).passes[0].fast_paths
    assert (fast_path.calibrated, fast_path.answers, fast_path.plain) == (N, 0, True), fast_path
    assert item.verdict is Verdict.PASSED
    assert item.comparison is not None
    assert item.comparison.paths == (), "all images calibrated: every answer is the plain path's"
    # of more images some answers are the lane's, and too few of them were looked at again
    for channel in ("red", "green", "blue"):
        folder = project.path / "pictures" / channel
        for copy, picture in enumerate([*folder.iterdir()] * 2):
            shutil.copy(picture, folder / f"copy-{copy}.png")
    gate(project, "even", cpu)
    assert main(["accept", "runs/latest", "--force"]) == 0
    refused = gate(project, "hair", *rough)
    (fast_path,) = last_run(project).passes[0].fast_paths
    assert (fast_path.answers, fast_path.plain) == (3 * N - fast_path.calibrated, False), fast_path
    assert refused.verdict is Verdict.INVALID
    assert "computed on different paths, forwards: fp32 there, bf16 on cpu" in refused.sentence
    assert "run the baseline again with --evals-precision bf16" in refused.sentence
    told = refused.comparison
    assert told is not None
    assert [one.step for one in told.paths] == ["forwards"]
    assert told.differs == ()
    # numbers from the cache were kept with what was measured of their path
    again = gate(project, "hair", *rough)
    assert again.cached > 0
    assert again.verdict is Verdict.INVALID
    assert again.comparison is not None
    assert again.comparison.paths == told.paths


def test_other_parameters_and_another_measure_are_refused(baseline: pytest.Pytester) -> None:
    file = baseline.path / "gate.toml"
    file.write_text(SUITE + 'among = "set"\n', encoding="utf-8")
    arguments = ("gate.toml", "--evals-model=net@ten.safetensors", "--evals-baseline=baseline")
    result = baseline.runpytest(*arguments)
    result.stdout.fnmatch_lines(["*parameter among = 'all' there, 'set' here*"])
    other = SUITE.replace('"accuracy"', '"predictions"').replace("top1_accuracy", "confidence_mean")
    file.write_text(other, encoding="utf-8")
    result = baseline.runpytest(*arguments)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*measure accuracy there, predictions here*"])
    file.write_text(SUITE.replace('"colors"', '"colours"'), encoding="utf-8")
    result = baseline.runpytest(*arguments)
    result.stdout.fnmatch_lines(['*no check "colours" on net; did you mean "colors"*'])


@pytest.mark.parametrize("change", ["id", "bytes", "label"])
def test_other_images_are_refused(baseline: pytest.Pytester, change: str) -> None:
    pictures = baseline.path / "pictures"
    first = pictures / "red" / "1.png"
    if change == "id":
        first.rename(pictures / "red" / "first.png")
        said = "other images: 1 only there (red/1.png), 1 only here (red/first.png)"
    elif change == "bytes":
        Image.new("RGB", (9, 9), (101, 100, 100)).save(first)
        said = "photographs: other ids, labels or bytes of images"
    else:
        manifest = "path,label\n" + "".join(
            f"{file.relative_to(pictures)},{'blue' if file == first else file.parent.name}\n"
            for file in sorted(pictures.rglob("*.png"))
        )
        (pictures / "all.csv").write_text(manifest, encoding="utf-8")
        suite = SUITE.replace('"pictures"', '"pictures/all.csv"')
        (baseline.path / "gate.toml").write_text(suite, encoding="utf-8")
        said = "other labels of 1 images (red/1.png)"
    item = gate(baseline, "ten", "--evals-baseline=baseline", "--evals-inconclusive=skip")
    assert item.verdict is Verdict.INVALID
    assert "not comparable with the baseline" in item.sentence
    assert said in item.sentence


def test_bad_baselines_are_said_before_anything_is_measured(baseline: pytest.Pytester) -> None:
    stored = baseline.path / "baseline" / "run.json"
    whole = stored.read_text(encoding="utf-8")

    def refused(*said: str, baseline_: str = "baseline") -> None:
        result = baseline.runpytest(
            "gate.toml", "--evals-model=net@ten.safetensors", f"--evals-baseline={baseline_}"
        )
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        for part in said:
            result.stderr.fnmatch_lines([f"*--evals-baseline: *{baseline_}*{part}*"])

    runs = len(list((baseline.path / "runs").iterdir()))
    refused("no such run", "`evals accept RUN` stores", baseline_="elsewhere")
    refused("such as *runs/latest: this is a folder of runs", baseline_="runs")
    stored.write_text(whole[: len(whole) // 2], encoding="utf-8")
    refused("not a readable run log")
    newer = json.dumps({**json.loads(whole), "version": log.VERSION + 1})
    stored.write_text(newer, encoding="utf-8")
    refused("written in format")
    assert len(list((baseline.path / "runs").iterdir())) == runs

    stored.write_text(whole, encoding="utf-8")
    (table,) = (baseline.path / "baseline" / "tables").iterdir()
    table.write_bytes(table.read_bytes()[:100])
    arguments = ("gate.toml", "--evals-model=net@ten.safetensors", "--evals-baseline=baseline")
    baseline.runpytest(*arguments).stdout.fnmatch_lines(["*tables/*.parquet is damaged*"])
    table.unlink()
    baseline.runpytest(*arguments).stdout.fnmatch_lines(["*tables/*.parquet is missing*"])
    stored.write_text(whole.replace('"tables/', '"../tables/'), encoding="utf-8")
    baseline.runpytest(*arguments).stdout.fnmatch_lines(["*is outside the run*"])


def test_familywise_shares_the_error_among_the_gates_of_the_file(
    baseline: pytest.Pytester,
) -> None:
    """The file fixes the error rate: what is selected changes nothing."""
    three = SUITE.replace("title", "familywise = true\ntitle").replace(
        "expect = [",
        'expect = [{ metric = "top1_accuracy", at_least = { of = "baseline", minus = 0.5 } },'
        '{ metric = "nll", at_most = { of = "baseline", plus = 9.0 }, for = ["nobody"] },',
    )
    three = three.replace('for = ["nobody"]', 'for = ["net"]')
    second = three.partition("[[check]]")[2].replace('"colors"', '"again"')
    text = three + "[[check]]" + second
    tomllib.loads(text)
    baseline.path.joinpath("gate.toml").write_text(text, encoding="utf-8")
    item = gate(baseline, "ten", "--evals-baseline=baseline", "-k", "colors")
    assert last_run(baseline).suites[0].gates == 6
    found = [j.gate.paired.confidence for j in item.judgements if j.gate]
    assert found == pytest.approx([1 - 0.1 / 6] * 3)
    assert item.judgements[0].verdict is Verdict.PASSED


def test_compare_prints_and_draws_the_same(
    baseline: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    gate(baseline, "ten", "--evals-baseline=baseline")
    shutil.copytree(baseline.path / "runs" / "latest", baseline.path / "ten")
    capsys.readouterr()
    assert main(["compare", "baseline", "ten", "--out", "page.html"]) == 0
    said = capsys.readouterr().out
    assert "20 of 120 images turned wrong (negative flip rate 0.1667), 0 right" in said
    assert "-0.1667 (-0.2" in said
    page = baseline.path.joinpath("page.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 12
    assert "<h1>20 images turned wrong.</h1>" in page
    assert main(["compare", "ten", "baseline", "--out", "page.html"]) == 0
    said = capsys.readouterr().out
    assert "0 of 120 images turned wrong (negative flip rate 0.0000), 20 right" in said
    assert main(["compare", "ten:net", "baseline:nobody"]) == 1
    assert 'judged no "nobody"' in capsys.readouterr().err


def test_accept_refuses_what_no_gate_should_compare_with(
    baseline: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(said: str, *arguments: str) -> None:
        assert main(["accept", *arguments]) == 1
        assert said in capsys.readouterr().err

    gate(baseline, "hair")
    refused("1 of its checks did not pass", "runs/latest")  # nothing held it against the baseline
    before = (baseline.path / "baseline" / "run.json").read_bytes()
    gate(baseline, "ten", "--evals-baseline=baseline")
    refused("1 of its checks did not pass, first gate.toml::colors[net] (failed)", "runs/latest")
    refused("no such run", "elsewhere")
    refused("is the run itself", "baseline", "--to", "baseline", "--force")
    refused(
        "contains files that are not of an accepted run",
        "runs/latest",
        "--force",
        "--to",
        "pictures",
    )
    refused("is not a folder", "runs/latest", "--force", "--to", "gate.toml")
    for change, said in (
        ({"status": "running"}, "running; it still runs, or was killed"),
        ({"not_run": ["x"]}, "without 1 check, first x"),
    ):
        file = baseline.path / "runs" / "latest" / "run.json"
        data = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({**data, **change}), encoding="utf-8")
        refused(said, "runs/latest", "--force")
        file.write_text(json.dumps(data), encoding="utf-8")
    assert (baseline.path / "baseline" / "run.json").read_bytes() == before
    assert main(["accept", "runs/latest", "--force"]) == 0
    assert (baseline.path / "baseline" / "run.json").read_bytes() != before
    assert not list(baseline.path.glob(".baseline*"))


@pytest.mark.slow
@pytest.mark.usefixtures("whole_run")
@pytest.mark.parametrize("limit", [2_000, 9_000, 30_000])
def test_a_full_disk_is_an_error_with_the_repair_and_never_a_pass(
    project: pytest.Pytester, limit: int
) -> None:
    """A limit on the size of files makes the system refuse writes as a full disk does."""
    wide = SUITE.replace('{ of = "baseline", minus = 0.02 }', "0.5")
    project.path.joinpath("gate.toml").write_text(wide, encoding="utf-8")
    code = (
        "import resource, sys, pytest;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    arguments = ["gate.toml", "-p", "no:cacheprovider", "--evals-model=net@even.safetensors"]
    done = subprocess.run(
        [forked_python(), "-B", "-c", code, *arguments],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "File too large" in done.stdout + done.stderr
    assert not list((project.path / "runs").rglob("*.part"))


def test_two_classifiers_of_one_run_are_tested_in_pairs(project: pytest.Pytester) -> None:
    text = SUITE.replace(
        '{ of = "baseline", minus = 0.02 } }',
        '{ of = "old", minus = 0.02 }, confidence = 0.95, for = ["new"] }',
    ).replace("title", 'models = ["old", "new"]\ntitle')
    project.path.joinpath("gate.toml").write_text(text, encoding="utf-8")
    models = ("--evals-model=old=net@even.safetensors", "--evals-model=new=net@ten.safetensors")
    project.runpytest("gate.toml", *models)
    old, new = last_run(project).items
    assert new.verdict is Verdict.FAILED
    (judgement,) = new.judgements
    assert judgement.gate is not None
    assert (judgement.gate.of, judgement.gate.paired.confidence) == ("old", 0.95)
    assert (judgement.gate.paired.worse, judgement.gate.paired.better) == (20, 0)
    assert old.verdict is Verdict.RECORDED


def test_the_terminal_says_what_turned_and_how_many_gates(baseline: pytest.Pytester) -> None:
    result = baseline.runpytest(
        "gate.toml", "--evals-model=net@ten.safetensors", "--evals-baseline=baseline"
    )
    result.stdout.fnmatch_lines(
        [
            "net, colors: 20 of 120 images turned wrong, 0 right since the baseline (top1_acc*",
            "paired gates: 1; 0.05 would fail by chance if every network were exactly at its "
            "margin",
        ]
    )


WATCHED = (
    SUITE
    + """
[[check]]
name = "watched"
measure = "accuracy"
images = "photographs"
expect = []
"""
)


def test_the_newest_run_can_be_the_baseline_of_the_next(project: pytest.Pytester) -> None:
    """`runs/latest` points at the new run as soon as that begins."""
    order = WATCHED.partition("[[check]]")
    first, second = order[2].split("[[check]]")
    text = order[0] + "[[check]]" + second + "[[check]]" + first  # what is watched goes first
    project.path.joinpath("gate.toml").write_text(text, encoding="utf-8")
    project.runpytest("gate.toml", "--evals-model=net@even.safetensors")
    result = project.runpytest(
        "gate.toml", "--evals-model=net@ten.safetensors", "--evals-baseline=runs/latest"
    )
    assert result.ret == 1
    item = {one.check: one for one in last_run(project).items}["colors"]
    assert item.verdict is Verdict.FAILED
    assert item.judgements[0].gate is not None
    assert item.judgements[0].gate.paired.worse == 20


def test_rows_of_the_baseline_that_make_no_number_are_no_skip(baseline: pytest.Pytester) -> None:
    text = SUITE.replace("top1_accuracy", "nll").replace("at_least", "at_most")
    baseline.path.joinpath("gate.toml").write_text(
        text.replace("minus = 0.02", "plus = 0.02"), encoding="utf-8"
    )
    (table,) = (baseline.path / "baseline" / "tables").iterdir()
    whole = pd.read_parquet(table)
    for broken, said in (
        (whole.assign(nll=whole["nll"].where(whole.index != 3)), "not finite"),
        (whole.drop(columns="nll"), "have no column 'nll'"),
        (pd.concat([whole, whole.tail(1)]), "image red/40.png is there 2 times"),
        (whole.drop(columns="image"), "it has no column image"),
    ):
        broken.to_parquet(table)
        result = baseline.runpytest(
            "gate.toml",
            "--evals-model=net@ten.safetensors",
            "--evals-baseline=baseline",
            "--evals-inconclusive=skip",
        )
        assert result.ret == 1, said
        result.stdout.fnmatch_lines([f"*{said}*"])
        result.stdout.no_fnmatch_line("*Traceback*")


def test_a_lower_is_better_gate_fails_on_a_rise(baseline: pytest.Pytester) -> None:
    text = SUITE.replace("top1_accuracy", "nll").replace("at_least", "at_most")
    baseline.path.joinpath("gate.toml").write_text(
        text.replace("minus = 0.02", "plus = 0.02"), encoding="utf-8"
    )
    item = gate(baseline, "ten", "--evals-baseline=baseline")
    assert item.verdict is Verdict.FAILED
    found = item.judgements[0].gate
    assert found is not None
    assert (found.margin, found.paired.method) == (0.02, "bootstrap")
    assert found.paired.low > 0.02


def test_a_metric_that_the_baseline_does_not_know_is_refused(baseline: pytest.Pytester) -> None:
    file = baseline.path / "baseline" / "run.json"
    text = file.read_text(encoding="utf-8").replace('"top1_accuracy"', '"top0_accuracy"')
    file.write_text(text, encoding="utf-8")
    item = gate(baseline, "ten", "--evals-baseline=baseline")
    assert item.verdict is Verdict.INVALID
    assert "has no such metric" in item.sentence


def test_flips_of_a_check_with_several_rows_an_image(project: pytest.Pytester) -> None:
    dropped = "+ self.lean + 0 * nn.functional.dropout(pixels.mean(dim=(2, 3)), 0.5, self.training)"
    nets = NETS.replace("+ self.lean", dropped)
    project.path.joinpath("leaning.py").write_text(nets, encoding="utf-8")
    text = SUITE.replace('"accuracy"', '"dropout_gap"').replace("top1_acc", "eval_acc")
    project.path.joinpath("gate.toml").write_text(text + "masks = 3\n", encoding="utf-8")
    project.runpytest("gate.toml", "--evals-model=net@even.safetensors")
    item = gate(project, "ten", "--evals-baseline=runs/latest")
    assert item.verdict is Verdict.FAILED, item.sentence
    assert item.comparison is not None
    assert item.comparison.flips is not None
    assert item.comparison.flips.worse == 20
    assert {flip.now.name for flip in item.comparison.flips.lost} == {"blue"}


def test_an_accept_that_was_killed_between_two_moves_is_mended(baseline: pytest.Pytester) -> None:
    whole = (baseline.path / "baseline" / "run.json").read_bytes()
    gate(baseline, "hair", "--evals-baseline=baseline")
    (baseline.path / "baseline").rename(baseline.path / ".baseline.old")
    assert main(["accept", "runs/latest"]) == 1  # inconclusive: and the old one is back
    assert (baseline.path / "baseline" / "run.json").read_bytes() == whole


def test_a_run_that_lacks_a_check_does_not_take_the_baselines_place(
    baseline: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = WATCHED.replace("0.02", "0.5")
    baseline.path.joinpath("gate.toml").write_text(wide, encoding="utf-8")
    gate_all = ("gate.toml", "--evals-model=net@hair.safetensors", "--evals-baseline=baseline")
    baseline.runpytest(*gate_all)
    assert main(["accept", "runs/latest"]) == 0
    model = "--evals-model=net@one.safetensors"
    baseline.runpytest("gate.toml", model, "--evals-baseline=baseline", "-k", "colors")
    assert main(["accept", "runs/latest"]) == 1
    assert "lacks 1 checks that the baseline has, first gate.toml::watched[net]" in (
        capsys.readouterr().err
    )


def test_compare_imports_nothing_that_a_log_names(
    baseline: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    gate(baseline, "hair", "--evals-baseline=baseline")
    (baseline.path / "trap.py").write_text("open('sprung', 'w').close()\n", encoding="utf-8")
    for place in ("baseline", "runs/latest"):
        file = baseline.path / place / "run.json"
        text = file.read_text(encoding="utf-8").replace('"accuracy"', '"trap:measure"')
        file.write_text(text, encoding="utf-8")
    assert main(["compare", "baseline", "runs/latest"]) == 0
    assert "trap:measure is not a measure of this package" in capsys.readouterr().out
    assert not (baseline.path / "sprung").exists()


@pytest.mark.parametrize("arguments", [["accept", "runs/latest", "--to", "."], ["accept", "a\0b"],
                                       ["compare", "a\0b", "x"]])  # fmt: skip
def test_odd_paths_are_sentences(
    baseline: pytest.Pytester, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith("evals: ")
