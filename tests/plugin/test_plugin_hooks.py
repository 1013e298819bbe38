"""The plugin as a person meets it: real pytest runs of small suites on small networks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.inner import last_run, warm
from tests.project import CLASSES, COLORS, SUITE, card, pictures, write
from vision_evals import log
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)

NETS = '''
import torch
from torch import nn

class Color(nn.Module):
    """Says which channel is brightest."""
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 10

class Wrong(nn.Module):
    """Says which channel is darkest."""
    def forward(self, pixels):
        return -pixels.mean(dim=(2, 3)) * 10

class Broken(nn.Module):
    def forward(self, pixels):
        raise RuntimeError("this network always breaks")

class Nan(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * float("nan")

class Restless(nn.Module):
    """Counts its own forwards in a buffer."""
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
    def forward(self, pixels):
        self.seen += 1
        return pixels.mean(dim=(2, 3)) * 10
'''


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm")
    assert warm(folder, furnish, "colors.toml") == 0


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's repository: networks, twelve pictures of which one is mislabelled, a suite."""
    furnish(pytester.path)
    return pytester


def furnish(folder: Path) -> None:
    networks = ("Color", "Wrong", "Broken", "Nan", "Restless")
    cards = "".join(card(name.lower(), f"nets:{name}") for name in networks)
    files = {
        "pyproject.toml": '[tool.evals]\nrun_dir = "runs"\n' + cards,
        "nets.py": NETS,
        "classes.txt": CLASSES,
        "colors.toml": SUITE,
    }
    write(folder, files)
    pictures(folder / "pictures", 4, (20, 18))
    Image.new("RGB", (20, 20), COLORS["blue"]).save(folder / "pictures" / "red" / "0.png")


def write_suite(project: pytest.Pytester, text: str = SUITE, name: str = "colors.toml") -> None:
    project.path.joinpath(name).write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("whole_run")
def test_a_passing_suite(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")  # room for the interval
    result = project.runpytest("colors.toml")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    run = last_run(project)
    assert run.status == "finished"
    (item,) = run.items
    assert item.id == "colors.toml::colors[color]"
    assert item.verdict is Verdict.PASSED
    top1 = {metric.name: metric for metric in item.metrics}["top1_accuracy"]
    assert (top1.value, top1.n) == (11 / 12, 12)
    result.stdout.fnmatch_lines(
        [
            "*vision networks*",
            "network*check*metric*value*threshold*verdict",
            "color*colors*top1_accuracy*0.917 (0.646 to 0.985, n = 12)*at least 0.9*passed",
            "1 passed",
            "log: *run.json",
            "report: *report.html",
        ]
    )
    assert (project.path / "runs" / "latest" / "report.html").stat().st_size > 1000


def test_a_failing_check_says_value_threshold_metric_interval_and_n(
    project: pytest.Pytester,
) -> None:
    write_suite(project, SUITE.replace("0.9 }", "0.95 }"))
    result = project.runpytest("colors.toml")
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["FAILED colors.toml::colors[[]color] - FAILED: 0.9167, at least 0.95 wanted: *"]
    )
    assert "n = 12" in last_run(project).items[0].sentence
    assert "Traceback" not in result.stdout.str()


def test_the_command_line_names_the_classifiers(project: pytest.Pytester) -> None:
    result = project.runpytest("colors.toml", "--evals-model", "mine=wrong", "--evals-model=color")
    result.assert_outcomes(passed=1, failed=1)
    assert [item.classifier for item in last_run(project).items] == ["mine", "color"]


def test_each_classifier_is_an_item_and_one_pass_serves_all(project: pytest.Pytester) -> None:
    project.runpytest("colors.toml", "--evals-model=color", "--evals-model=wrong")
    run = last_run(project)
    assert len(run.items) == 2
    assert len(run.passes) == 1
    assert run.passes[0].n == 12


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        (["-k", "wrong"], ["wrong"]),
        (["-m", "accuracy"], ["color", "wrong"]),
        (["colors.toml::colors[wrong]"], ["wrong"]),
        (["--deselect", "colors.toml::colors[wrong]"], ["color"]),
    ],
)
def test_selection(project: pytest.Pytester, arguments: list[str], ran: list[str]) -> None:
    where = [] if arguments[0].startswith("colors") else ["colors.toml"]
    models = ["--evals-model=color", "--evals-model=wrong"]
    project.runpytest(*where, *models, *arguments)
    assert [item.classifier for item in last_run(project).items] == ran


def test_nothing_selected_by_another_marker(project: pytest.Pytester) -> None:
    result = project.runpytest("colors.toml", "-m", "not accuracy")
    result.assert_outcomes(deselected=1)
    assert not (project.path / "runs").exists()


def test_exitfirst_stops_after_the_first_failure(project: pytest.Pytester) -> None:
    models = ["--evals-model=wrong", "--evals-model=color"]
    result = project.runpytest("colors.toml", "-x", *models)
    result.assert_outcomes(failed=1)


def test_last_failed_reruns_only_what_failed(project: pytest.Pytester) -> None:
    models = ["--evals-model=wrong", "--evals-model=color"]
    project.runpytest("colors.toml", *models)
    result = project.runpytest("colors.toml", "--lf", *models)
    result.assert_outcomes(failed=1, deselected=1)


def test_stepwise_goes_on_where_it_stopped(project: pytest.Pytester) -> None:
    models = ["--evals-model=color", "--evals-model=wrong"]
    project.runpytest("colors.toml", "--sw", *models).assert_outcomes(passed=1, failed=1)
    result = project.runpytest("colors.toml", "--sw", *models)
    result.assert_outcomes(failed=1, deselected=1)


def test_collect_only_lists_and_runs_nothing(project: pytest.Pytester) -> None:
    result = project.runpytest("colors.toml", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["colors.toml::colors[[]color]"])
    assert not (project.path / "runs").exists()


def test_junitxml_has_verdict_and_seconds(project: pytest.Pytester) -> None:
    project.runpytest("colors.toml", "--junitxml=junit.xml")
    tree = ET.parse(project.path / "junit.xml")
    properties = {p.get("name"): p.get("value") for p in tree.iter("property")}
    assert properties["evals_verdict"] == "passed"
    assert float(properties["evals_seconds"] or "") > 0


def test_ids_hold_in_folders_and_from_elsewhere(project: pytest.Pytester) -> None:
    (project.path / "suites").mkdir()
    write_suite(project, SUITE.replace('"pictures"', '"../pictures"'), "suites/c.toml")
    project.runpytest("suites")
    assert last_run(project).items[0].id == "suites/c.toml::colors[color]"


def test_the_seconds_are_the_items_own(project: pytest.Pytester) -> None:
    project.runpytest("colors.toml", "--evals-model=color", "--evals-model=wrong")
    run = last_run(project)
    assert 0 < sum(item.seconds for item in run.items) <= run.passes[0].seconds


def test_other_toml_files_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml("[tool.pytest]\n")
    pytester.path.joinpath("broken.toml").write_text("[[[", encoding="utf-8")
    pytester.path.joinpath("other.toml").write_text("[evals]\nx = 1\n", encoding="utf-8")
    pytester.path.joinpath("lint.toml").write_text('[[check]]\nname = "a"\n', encoding="utf-8")
    pytester.path.joinpath("size.toml").write_text('[check]\nmeasure = "m"\n', encoding="utf-8")
    pytester.makepyfile("def test_one(): pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert "vision networks" not in result.stdout.str()
    assert "warning" not in result.stdout.str()
    assert not (pytester.path / "runs").exists()


@pytest.mark.usefixtures("whole_run")
def test_a_project_without_suites_pays_nothing(pytester: pytest.Pytester) -> None:
    unmarked = SUITE.replace("evals = 1", "")
    pytester.path.joinpath("unmarked.toml").write_text(unmarked, encoding="utf-8")
    pytester.makepyfile(
        """
        import sys
        def test_nothing_heavy_is_loaded():
            heavy = {"torch", "numpy", "pandas", "pydantic", "rich", "jinja2", "PIL", "scipy"}
            assert not heavy & sys.modules.keys()
            assert "vision_evals.plugin" in sys.modules
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, warnings=1)


def test_collecting_a_suite_of_packaged_networks_needs_no_torch(
    pytester: pytest.Pytester,
) -> None:
    write_suite(pytester, SUITE.replace("color", "efficientnet_lite0"), "s.toml")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import pytest, sys; pytest.main(['s.toml', '--collect-only', '-q'])\n"
            "print('torch' in sys.modules)",
        ],
        cwd=pytester.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "s.toml::efficientnet_lite0s[efficientnet_lite0]" in done.stdout
    assert done.stdout.strip().endswith("False")


def test_a_suite_and_ordinary_tests_run_together(project: pytest.Pytester) -> None:
    project.makepyfile("def test_one(): pass")
    project.runpytest().assert_outcomes(passed=2)


# What cannot be judged


def test_unavailable_defaults_are_skipped_and_nothing_judged_is_exit_5(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(project.path / "torch"))
    write_suite(project, SUITE.replace('["color"]', '["alexnet"]'))
    result = project.runpytest("colors.toml", "-ra")
    result.assert_outcomes(skipped=1)
    assert result.ret == 5
    result.stdout.fnmatch_lines(
        [
            "alexnet: weights not here, 1 check; `pytest colors.toml -ra * fetches alexnet",
            "1 unavailable: nothing was judged",
        ]
    )
    result.stdout.no_fnmatch_line("SKIPPED*")


def test_without_labels_accuracy_is_not_applicable(project: pytest.Pytester) -> None:
    result = project.runpytest("colors.toml", "--evals-images", "pictures/red")
    result.assert_outcomes(skipped=1)
    assert result.ret == 5
    assert last_run(project).items[0].verdict is Verdict.NOT_APPLICABLE


def test_recorded_is_counted_apart_and_judges_nothing(project: pytest.Pytester) -> None:
    write_suite(project, SUITE.replace('[{ metric = "top1_accuracy", at_least = 0.9 }]', "[]"))
    result = project.runpytest("colors.toml")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["1 recorded: nothing was judged"])
    assert result.ret == 5


def test_expectations_for_other_classifiers_leave_an_item_recorded(
    project: pytest.Pytester,
) -> None:
    write_suite(project, SUITE.replace("0.9 }", '0.9, for = ["color"] }'))
    project.runpytest("colors.toml", "--evals-model=color", "--evals-model=wrong")
    assert [i.verdict for i in last_run(project).items] == [Verdict.PASSED, Verdict.RECORDED]


def test_inconclusive_fails_unless_relaxed(project: pytest.Pytester) -> None:
    write_suite(project, SUITE.replace("0.9 }", "0.9, confidence = 0.95 }"))
    result = project.runpytest("colors.toml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["INCONCLUSIVE: 0.9167, at least 0.9 *", "FAILED colors.toml* - INCONCLUSIVE: 0.9*"]
    )
    assert "more images would decide" in last_run(project).items[0].sentence
    project.runpytest("colors.toml", "--evals-inconclusive=skip").assert_outcomes(skipped=1)


def test_known_falls_are_expected_and_warnings_shown(project: pytest.Pytester) -> None:
    write_suite(project, SUITE.replace("0.9 }", '0.99, known = "issue 7" }'))
    project.runpytest("colors.toml").assert_outcomes(xfailed=1)
    forced = project.runpytest("colors.toml", "--runxfail")
    forced.stdout.fnmatch_lines(["FAILED colors.toml* - FAILED: known (issue 7): 0.9167, *"])
    write_suite(project, SUITE.replace("0.9 }", '0.99, severity = "warn" }'))
    project.runpytest("colors.toml").assert_outcomes(passed=1)
    assert "warning: 0.9167, at least 0.99" in last_run(project).items[0].sentence


def test_a_threshold_may_name_another_classifier_which_is_then_measured(
    project: pytest.Pytester,
) -> None:
    expect = '{ of = "wrong", plus = 0.1 } }'
    write_suite(project, SUITE.replace("0.9 }", expect))
    result = project.runpytest("colors.toml")
    result.assert_outcomes(passed=1)
    (item,) = last_run(project).items
    assert item.judgements[0].wanted == "at least that of wrong + 0.1 = 0.1"  # ties are lost
    project.runpytest("colors.toml", "--evals-model=wrong").assert_outcomes(failed=1)


def test_a_network_is_not_held_against_itself(project: pytest.Pytester) -> None:
    write_suite(project, SUITE.replace("0.9 }", '{ of = "color", minus = 0.1 } }'))
    project.runpytest("colors.toml", "--evals-model=color").assert_outcomes(skipped=1)
    (item,) = last_run(project).items
    assert item.verdict is Verdict.NOT_APPLICABLE
    assert "it is compared with itself" in item.sentence


def test_a_margin_that_nothing_can_miss_decides_nothing(project: pytest.Pytester) -> None:
    write_suite(project, SUITE.replace("0.9 }", '{ of = "wrong", minus = 0.2 } }'))
    project.runpytest("colors.toml", "--evals-model=color").assert_outcomes(failed=1)
    (item,) = last_run(project).items
    assert item.verdict is Verdict.INCONCLUSIVE
    assert "0 with this margin is -0.2, which nothing can fail" in item.sentence


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ('models = ["color"]\n'
         'expect = [{ metric = "top1_accuracy", at_least = 0.5, for = ["wrong"]',
         "expect 1: holds none of color, which are judged here; name one of them in `for`"),
        ('models = ["color"]\nexpect = [{ metric = "top1_accuracy", at_least = { of = "color" }',
         "color is only compared with itself, which nothing can fail"),
        ('expected_top1 = { wrong = { "red" = "red" } }\n'
         'expect = [{ metric = "expected_top1", at_least = 1.0',
         "which are judged here; name one of them in `for` and `expected_top1`"),
    ],
)  # fmt: skip
def test_an_expectation_that_holds_nobody_is_refused(
    project: pytest.Pytester, keys: str, sentence: str
) -> None:
    start = SUITE.index("expect")
    write_suite(project, SUITE[:start] + keys + " }]\n")
    result = project.runpytest("colors.toml")
    result.assert_outcomes(errors=1)
    assert sentence in result.stdout.str()


def publish(project: pytest.Pytester, declared: str | None = None) -> None:
    """Ask for the accuracy that the card publishes, of pictures with such a declaration."""
    toml = project.path / "pyproject.toml"
    text = toml.read_text(encoding="utf-8").replace(
        'network = "nets:Color"', 'network = "nets:Color"\npublished = { top1_accuracy = 0.9 }'
    )
    toml.write_text(text, encoding="utf-8")
    write_suite(project, SUITE.replace("0.9 }", '{ of = "published" } }'))
    if declared is not None:
        beside = project.path / "pictures" / "images.toml"
        beside.write_text(f"{declared}\n", encoding="utf-8")


def test_published_numbers_are_not_held_against_a_limited_run(project: pytest.Pytester) -> None:
    publish(project, 'sample_of = "classes.txt"')
    project.runpytest("colors.toml").assert_outcomes(passed=1)
    result = project.runpytest("colors.toml", "--evals-limit", "6")
    result.assert_outcomes(failed=1)  # a gate that cannot be held is no pass
    run = last_run(project)
    assert run.items[0].verdict is Verdict.INCONCLUSIVE
    assert "it is not compared with a full one" in run.items[0].sentence
    assert (run.image_sets[0].n, run.image_sets[0].total, run.image_sets[0].limit) == (6, 12, 6)
    assert run.image_sets[0].sample_of == "classes.txt"  # a part by hash of a sample is one


def test_published_numbers_are_held_against_a_declared_sample(project: pytest.Pytester) -> None:
    publish(project, 'sample_of = "classes.txt"\nabout = "every third colour of the shelf"')
    project.runpytest("colors.toml").assert_outcomes(passed=1)
    run = last_run(project)
    assert run.items[0].judgements[0].threshold == 0.9
    assert run.image_sets[0].sample_of == "classes.txt"


@pytest.mark.parametrize(
    ("declared", "sample_of", "said"),
    [
        (None, None, "the images are not declared to be a sample of classes.txt"),
        ('about = "picked by hand"', None, "not declared to be a sample of classes.txt"),
        (
            'sample_of = "imagenet"',
            "imagenet",
            "the images are declared to be a sample of imagenet, not of classes.txt",
        ),
    ],
)
def test_published_numbers_are_not_held_against_pictures_of_something_else(
    project: pytest.Pytester, declared: str | None, sample_of: str | None, said: str
) -> None:
    publish(project, declared)
    project.runpytest("colors.toml").assert_outcomes(failed=1)
    run = last_run(project)
    (item,) = run.items
    assert (item.verdict, item.judgements[0].threshold) == (Verdict.INCONCLUSIVE, None)
    place = project.path / "pictures" / "images.toml"
    assert f'{said}: write sample_of = "classes.txt" in {place} if they are' in item.sentence
    assert run.image_sets[0].sample_of == sample_of


def test_a_network_without_published_numbers_is_not_told_to_declare_anything(
    project: pytest.Pytester,
) -> None:
    publish(project)
    project.runpytest("colors.toml", "--evals-model=wrong").assert_outcomes(failed=1)
    sentence = last_run(project).items[0].sentence
    assert "nothing is published for wrong with these weights" in sentence
    assert "sample_of" not in sentence


def test_a_manifest_says_in_a_file_of_its_own_name_what_it_is_a_sample_of(
    project: pytest.Pytester,
) -> None:
    publish(project)
    lines = [f"pictures/{color}/{n}.png,{color}\n" for color in COLORS for n in range(4)]
    project.path.joinpath("list.csv").write_text("path,label\n" + "".join(lines), encoding="utf-8")
    arguments = ("colors.toml", "--evals-images", "list.csv")
    project.runpytest(*arguments).assert_outcomes(failed=1)
    assert f"in {project.path / 'list.toml'} if they are" in last_run(project).items[0].sentence
    write_suite(project, 'sample_of = "classes.txt"\n', "list.toml")
    project.runpytest(*arguments).assert_outcomes(passed=1)


def test_pictures_with_no_place_for_a_declaration(project: pytest.Pytester) -> None:
    publish(project)
    (project.path / "digits_test").mkdir()  # reached as ./digits_test, and not meant here
    ten = "        return pixels.mean(dim=(2, 3)).repeat(1, 4)[:, :10]"
    nets = project.path / "nets.py"
    text = nets.read_text(encoding="utf-8")
    text = text.replace("        return pixels.mean(dim=(2, 3)) * 10", ten)
    nets.write_text(text, encoding="utf-8")
    project.path.joinpath("classes.txt").write_text("\n".join("0123456789"), encoding="utf-8")
    project.runpytest("colors.toml", "--evals-images", "digits_test").assert_outcomes(failed=1)
    (item,) = last_run(project).items
    assert item.verdict is Verdict.INCONCLUSIVE
    assert "not declared to be a sample of classes.txt" in item.sentence
    assert "images.toml" not in item.sentence


def test_a_mistake_in_a_declaration_is_said_in_a_sentence(project: pytest.Pytester) -> None:
    publish(project, 'sampel_of = "classes.txt"')
    result = project.runpytest("colors.toml")
    result.assert_outcomes(errors=1)
    text = result.stdout.str()
    assert 'images.toml: unknown key "sampel_of"; did you mean "sample_of"?' in text
    assert "Traceback" not in text


# Networks that break


def test_a_network_that_breaks_fails_alone(project: pytest.Pytester) -> None:
    models = ["--evals-model=broken", "--evals-model=nan", "--evals-model=color"]
    result = project.runpytest("colors.toml", *models)
    result.assert_outcomes(failed=2, passed=1)
    broken, nan, _ = last_run(project).items
    assert broken.verdict is nan.verdict is Verdict.INVALID
    assert "this network always breaks" in broken.sentence
    assert "INVALID: finite rows: 12 of 12 rows" in nan.sentence
    result.stdout.fnmatch_lines(["FAILED*broken* - INVALID:*", "FAILED*nan* - INVALID:*"])


def test_a_network_that_changes_while_it_is_looked_at_is_invalid(
    project: pytest.Pytester,
) -> None:
    project.runpytest("colors.toml", "--evals-model=restless").assert_outcomes(failed=1)
    assert "state restored: changed: seen" in last_run(project).items[0].sentence


# Bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--evals-device=cuda:7"], 'device "cuda:7" is not available'),
        (["--evals-device=gpu"], 'no kind of device "gpu"; available: cpu'),
        (["--evals-precision=fp64"], "--evals-precision"),
        (["--evals-precision=tf32", "--evals-device=cpu"], "tf32 is a mode of CUDA devices"),
        (["--evals-limit=0"], "--evals-limit"),
        (["--evals-limit=many"], "--evals-limit"),
        (["--evals-pictures=9"], "--evals-pictures"),
        (["--evals-batch-size=-1"], "--evals-batch-size"),
        (["--evals-model=colr"], 'did you mean "color"'),
        (["--evals-model=color", "--evals-model=color"], "color"),
        (["--evals-model=a=color", "--evals-model=a=wrong"], "name one of them with ALIAS=wrong"),
        (["--evals-cards=none.toml"], "none.toml"),
        (["--evals-run-dir=classes.txt"], "--evals-run-dir"),
    ],
)
def test_wrong_options_are_named(project: pytest.Pytester, arguments: list[str], said: str) -> None:
    result = project.runpytest("colors.toml", *arguments)
    assert result.ret in {2, 4}
    text = result.stdout.str() + result.stderr.str()
    assert said in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'images = "photographs"',
            'images = "photo"',
            'which no check uses; did you mean "photo"?',
        ),
        ('["color"]', '["colour"]', 'did you mean "color"?'),
        ("0.9 }", '0.9, for = ["colour"] }', 'did you mean "color"?'),
        ("0.9 }", '{ of = "colour" } }', 'did you mean "color"?'),
        ("top1_accuracy", "top1_acuracy", 'did you mean "top1_accuracy"'),
        ('measure = "accuracy"', 'measure = "nets:nothing"', "cannot be imported"),
        ('measure = "accuracy"', 'measure = "nets:Color"', "not a Measure"),
    ],
)
def test_a_typo_in_a_suite_is_a_collection_error(
    project: pytest.Pytester, old: str, new: str, said: str
) -> None:
    write_suite(project, SUITE.replace(old, new))
    result = project.runpytest("colors.toml")
    assert result.ret == 2
    text = result.stdout.str()
    assert said in text
    assert "colors.toml" in text
    assert "Traceback" not in text
    assert not (project.path / "runs").exists()


@pytest.mark.usefixtures("whole_run")
def test_a_typo_in_tool_evals(project: pytest.Pytester) -> None:
    toml = project.path / "pyproject.toml"
    text = toml.read_text(encoding="utf-8").replace("run_dir", "rundir")
    toml.write_text(text, encoding="utf-8")
    result = project.runpytest("colors.toml")
    assert result.ret == 2
    assert 'pyproject.toml, [tool.evals]: unknown key "rundir"; did you mean "run_dir" or' in (
        result.stdout.str()
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "nowhere"),
        ("empty", "empty"),
        ("photographs=nowhere", "nowhere"),
    ],
)
def test_missing_images_are_an_error_in_setup(
    project: pytest.Pytester, source: str, said: str
) -> None:
    (project.path / "empty").mkdir()
    result = project.runpytest("colors.toml", "--evals-images", source)
    result.assert_outcomes(errors=1)
    assert said in result.stdout.str()
    assert "Traceback" not in result.stdout.str()
    assert last_run(project).items[0].verdict is Verdict.INVALID


def test_labels_outside_the_classes_are_an_error_in_setup(project: pytest.Pytester) -> None:
    shutil.move(project.path / "pictures" / "red", project.path / "pictures" / "violet")
    result = project.runpytest("colors.toml")
    result.assert_outcomes(errors=1)
    assert "violet" in result.stdout.str()


def test_unreadable_pictures_fail_the_check_and_are_named(project: pytest.Pytester) -> None:
    bad = project.path / "pictures" / "blue" / "bad.png"
    bad.write_bytes(b"<html>quota exceeded</html>")
    result = project.runpytest("colors.toml")
    result.assert_outcomes(failed=1)
    run = last_run(project)
    assert [one.image for one in run.image_sets[0].unreadable] == ["blue/bad.png"]
    assert "1 picture unreadable: blue/bad.png" in run.items[0].sentence
    assert run.items[0].metrics[0].n == 12
    write_suite(project, SUITE.replace("expect =", 'unreadable = "skip"\nexpect ='))
    project.runpytest("colors.toml").assert_outcomes(passed=1)
    assert len(last_run(project).image_sets[0].unreadable) == 1


def test_a_set_of_which_nothing_can_be_read_is_never_a_pass(project: pytest.Pytester) -> None:
    for picture in project.path.glob("pictures/*/*.png"):
        picture.write_bytes(b"")
    write_suite(project, SUITE.replace("expect =", 'unreadable = "skip"\nexpect ='))
    result = project.runpytest("colors.toml")
    assert result.ret == 1
    assert "no picture of" in result.stdout.str()


def test_an_unavailable_classifier_that_was_named_is_an_error(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = project.path / "pyproject.toml"
    toml.write_text(
        toml.read_text(encoding="utf-8").replace(
            'network = "nets:Color"', 'network = "nets:Color"\ncheckpoint = "gone.safetensors"'
        ),
        encoding="utf-8",
    )
    result = project.runpytest("colors.toml", "--evals-model=color")
    result.assert_outcomes(errors=1)
    assert "gone.safetensors" in result.stdout.str()
    assert result.ret == 1


# What is written


def test_rows_are_what_the_network_said(project: pytest.Pytester) -> None:
    import pandas as pd

    project.runpytest("colors.toml")
    run = last_run(project)
    assert run.items[0].table is not None
    rows = pd.read_parquet(project.path / "runs" / "latest" / run.items[0].table)
    assert list(rows["image"][:2]) == ["blue/0.png", "blue/1.png"]
    wrong = rows[~rows["correct1"]]
    assert list(wrong["image"]) == ["red/0.png"]
    expected = np.exp([10, 0, 0])[0] / np.exp([10, 0, 0]).sum()
    assert rows["confidence"].to_numpy() == pytest.approx(expected, rel=1e-6)
    assert not list((project.path / "runs" / "latest" / "tables").glob("*.shards"))


def test_pictures_are_bounded_and_can_be_left_out(project: pytest.Pytester) -> None:
    project.runpytest("colors.toml", "--evals-pictures=3")
    pictures = last_run(project).items[0].pictures
    assert [picture.sample for picture in pictures].count("worst") == 1
    assert len(pictures) == 3
    assert pictures[[p.sample for p in pictures].index("worst")].image == "red/0.png"
    for picture in pictures:
        assert (project.path / "runs" / "latest" / picture.file).is_file()
    project.runpytest("colors.toml", "--evals-pictures=none")
    assert last_run(project).items[0].pictures == ()


def test_the_report_goes_where_it_is_told(project: pytest.Pytester) -> None:
    project.runpytest("colors.toml", "--evals-report=out.html")
    assert (project.path / "out.html").is_file()
    result = project.runpytest("colors.toml", "--evals-report=none")
    assert "report:" not in result.stdout.str()
    assert not (project.path / "runs" / "latest" / "report.html").exists()


def test_the_same_command_twice_gives_identical_rows(project: pytest.Pytester) -> None:
    tables = []
    for _ in range(2):
        project.runpytest("colors.toml")
        table = last_run(project).items[0].table
        assert table is not None
        tables.append((project.path / "runs" / "latest" / table).read_bytes())
    assert tables[0] == tables[1]


def test_options_from_pyproject(project: pytest.Pytester) -> None:
    toml = project.path / "pyproject.toml"
    more = 'run_dir = "kept"\nmodel = ["mine=wrong"]\nlimit = 5\nbatch-size = 2\nseed = 3'
    text = toml.read_text(encoding="utf-8").replace('run_dir = "runs"', more)
    toml.write_text(text, encoding="utf-8")
    project.runpytest("colors.toml")
    run = log.read(project.path / "kept" / "latest")
    assert run.items[0].classifier == "mine"
    assert (run.settings.batch_size, run.settings.seed, run.image_sets[0].limit) == (2, 3, 5)


def test_an_interrupted_run_leaves_a_readable_log(project: pytest.Pytester) -> None:
    """Ctrl-C in the second shard: the first one's rows and the finished items are kept."""
    for index in range(300):
        Image.new("RGB", (16, 16), (0, 255, 0)).save(
            project.path / "pictures" / "green" / f"more{index}.png"
        )
    project.path.joinpath("nets.py").write_text(
        NETS
        + """
class Interrupted(nn.Module):
    seen = 0
    def forward(self, pixels):
        self.seen += len(pixels)
        if self.seen > 280:
            raise KeyboardInterrupt
        return pixels.mean(dim=(2, 3)) * 10
""",
        encoding="utf-8",
    )
    with (project.path / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(card("interrupted", "nets:Interrupted"))
    write_suite(
        project,
        SUITE.replace('["color"]', '["color"]\n')
        + SUITE[SUITE.index("[[check]]") :]
        .replace('"colors"', '"second"')
        .replace('"photographs"', '"others"'),
    )
    text = (project.path / "colors.toml").read_text(encoding="utf-8")
    write_suite(project, text.replace("[images]", '[images]\nothers = "pictures/../pictures"'))
    models = ("--evals-model=interrupted", "--evals-model=color")
    result = project.runpytest_inprocess(
        "colors.toml", *models, "-k", "colors-color or second", no_reraise_ctrlc=True
    )
    assert result.ret == 2
    run = last_run(project)
    assert run.status == "interrupted"
    shards = list((project.path / "runs" / "latest" / "tables").glob("*"))
    assert shards


def test_run_json_is_strict_json(project: pytest.Pytester) -> None:
    project.runpytest("colors.toml", "--evals-model=nan")
    text = (project.path / "runs" / "latest" / "run.json").read_text(encoding="utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(text, parse_constant=refuse)


# What reviews found


def test_a_walk_that_died_judges_nobody(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first item fails with the cause; the others say why they cannot be judged."""

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vision_evals.engine.tables.add_shard", fail)
    result = project.runpytest("colors.toml", "--evals-model=color", "--evals-model=wrong")
    result.assert_outcomes(failed=2)
    first, second = last_run(project).items
    assert first.verdict is second.verdict is Verdict.INVALID
    assert "No space left on device" in first.sentence
    assert "the pass over photographs broke: OSError" in second.sentence


def test_a_broken_reference_lets_nobody_pass(project: pytest.Pytester) -> None:
    for of in ("broken", "nan", "restless"):
        write_suite(project, SUITE.replace("0.9 }", f'{{ of = "{of}", minus = 0.9 }} }}'))
        project.runpytest("colors.toml").assert_outcomes(failed=1)
        (item,) = last_run(project).items
        assert item.verdict is Verdict.INVALID
        assert f"{of} is invalid" in item.sentence


def test_a_reference_that_is_not_to_be_had_lets_nobody_pass(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(project.path / "torch"))
    write_suite(project, SUITE.replace("0.9 }", '{ of = "alexnet" } }'))
    project.runpytest("colors.toml").assert_outcomes(failed=1)
    assert "alexnet was not measured" in last_run(project).items[0].sentence


def test_a_network_that_throws_dice_in_eval_mode_is_invalid(project: pytest.Pytester) -> None:
    nets = project.path / "nets.py"
    dice = """
class Dice(nn.Module):
    def forward(self, pixels):
        return nn.functional.dropout(pixels.mean(dim=(2, 3)) * 10, training=True)
"""
    nets.write_text(NETS + dice, encoding="utf-8")
    with (project.path / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(card("dice", "nets:Dice"))
    result = project.runpytest("colors.toml", "--evals-model=dice", "--evals-model=color")
    result.assert_outcomes(failed=1, passed=1)
    assert "deterministic: drew from a global generator" in last_run(project).items[0].sentence


@pytest.mark.parametrize(
    "arguments", [["-p", "no:terminal"], ["-s"], ["-p", "no:capture"], ["-qq"]]
)
def test_without_other_plugins(project: pytest.Pytester, arguments: list[str]) -> None:
    assert project.runpytest("colors.toml", *arguments).ret == 0


def test_sound_suites_run_beside_a_broken_one(project: pytest.Pytester) -> None:
    write_suite(project, "evals = 1\n", "broken.toml")
    result = project.runpytest("--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)


def test_runxfail_makes_known_falls_fail(project: pytest.Pytester) -> None:
    write_suite(project, SUITE.replace("0.9 }", '0.99, known = "issue 7" }'))
    project.runpytest("colors.toml", "--runxfail").assert_outcomes(failed=1)


def test_a_role_that_no_check_is_about(project: pytest.Pytester) -> None:
    result = project.runpytest("colors.toml", "--evals-images", "photograps=pictures")
    assert result.ret == 4
    assert 'did you mean "photographs"?' in result.stderr.str()


def test_mistakes_at_setup_are_sentences_without_a_traceback(project: pytest.Pytester) -> None:
    result = project.runpytest("colors.toml", "--evals-images", "nowhere")
    assert "evals/session.py" not in result.stdout.str()
    assert len(result.stdout.lines) < 30


def test_own_and_recorded_tests_together_end_well(project: pytest.Pytester) -> None:
    write_suite(project, SUITE.replace('[{ metric = "top1_accuracy", at_least = 0.9 }]', "[]"))
    project.makepyfile("def test_one(): pass")
    assert project.runpytest().ret == 0


def test_items_that_never_ran_are_in_the_log(project: pytest.Pytester) -> None:
    project.runpytest("colors.toml", "-x", "--evals-model=wrong", "--evals-model=color")
    assert last_run(project).not_run == ("colors.toml::colors[color]",)


def test_bf16_is_computed(project: pytest.Pytester) -> None:
    project.runpytest("colors.toml", "--evals-precision=bf16").assert_outcomes(passed=1)
    assert last_run(project).settings.precision == "bf16"


def test_a_suite_in_another_encoding(project: pytest.Pytester) -> None:
    (project.path / "colors.toml").write_text("# caf\u00e9\n" + SUITE, encoding="latin-1")
    result = project.runpytest("colors.toml")
    assert "save it as UTF-8" in result.stdout.str()
    assert "UnicodeDecodeError" not in result.stdout.str()
    (project.path / "colors.toml").write_text(SUITE, encoding="utf-8-sig")
    project.runpytest("colors.toml").assert_outcomes(passed=1)


def test_a_suite_elsewhere_uses_the_cards_of_the_folder_one_stands_in(
    project: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    text = SUITE.replace('"pictures"', f'"{project.path / "pictures"}"')
    (elsewhere / "own.toml").write_text(text, encoding="utf-8")
    project.runpytest(str(elsewhere / "own.toml")).assert_outcomes(passed=1)
    assert last_run(project).items[0].verdict is Verdict.PASSED


def shop(project: pytest.Pytester, folder: str, name: str) -> None:
    """Write a project below the current folder, with a network of this name."""
    furnish(project.path / folder)
    write(
        project.path / folder,
        {
            "pyproject.toml": '[tool.evals]\nrun_dir = "here"\n' + card(name, "nets:Color"),
            "suites/gate.toml": SUITE.replace("color", name).replace('"pict', '"../pict'),
        },
    )


@pytest.mark.usefixtures("whole_run")
@pytest.mark.parametrize("place", ["shop", "shop/suites", "shop/suites/gate.toml::mines[mine]"])
def test_a_suite_named_from_another_folder_uses_its_own_project(
    pytester: pytest.Pytester, place: str
) -> None:
    pytester.path.joinpath("pyproject.toml").write_text("[tool.evals]\nseed = 3\n", "utf-8")
    shop(pytester, "shop", "mine")
    (pytester.path / "shop" / "colors.toml").unlink()
    pytester.runpytest(place).assert_outcomes(passed=1)
    run = log.read(pytester.path / "shop" / "here" / "latest")
    assert run.settings.pyproject == "shop/pyproject.toml"
    assert run.settings.seed == 0
    page = (pytester.path / "shop" / "here" / "latest" / "report.html").read_text("utf-8")
    assert "<code>[tool.evals]</code> of <code>shop/pyproject.toml</code>" in page


def test_suites_of_two_projects_are_not_one_run(pytester: pytest.Pytester) -> None:
    shop(pytester, "a", "one")
    shop(pytester, "b", "two")
    for named in (["a/suites/gate.toml", "b/suites/gate.toml"], ["a/suites", "b/suites"]):
        result = pytester.runpytest(*named)
        assert result.ret == pytest.ExitCode.INTERRUPTED
        result.stdout.fnmatch_lines(
            [
                "*gate.toml: [[]tool.evals[]] of this suite is in */b/pyproject.toml, "
                "but this run reads */a/pyproject.toml; name the suites of one project only, "
                "such as `pytest */b`"
            ]
        )
    assert not list(pytester.path.rglob("here"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "(read: */pyproject.toml, with *color, *wrong)"),
        (["--evals-cards=c.toml"], "(read: */pyproject.toml and */c.toml, with *extra*)"),
    ],
)
def test_an_unknown_classifier_says_where_cards_were_looked_for(
    project: pytest.Pytester, arguments: list[str], says: str
) -> None:
    extra = card("extra", "nets:Color").replace("tool.evals.", "")
    project.path.joinpath("c.toml").write_text(extra, "utf-8")
    result = project.runpytest("colors.toml", "--evals-model=my_net", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    wanted = "[[]tool.evals.models[]] of pyproject.toml, or in the file of --evals-cards "
    result.stderr.fnmatch_lines([f'*no classifier is called "my_net"*{wanted}{says}'])


def test_a_folder_without_cards_says_so(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    result = pytester.runpytest("colors.toml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ['*no classifier is called "color"*(no pyproject.toml in or above * has [[]tool.evals[]],*']
    )


UNMARKED = "colors.toml: has [[]*[]] tables but is not a suite*; write evals = 1 above the first*"


@pytest.mark.parametrize("text", ["", "evals = true\n", "# evals = 1\n"])
def test_a_named_suite_without_its_mark_is_an_error(project: pytest.Pytester, text: str) -> None:
    write_suite(project, SUITE.replace("evals = 1\n", text))
    for named in ("colors.toml", "colors.toml::colors"):
        result = project.runpytest(named)
        assert result.ret in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR}
        result.stdout.fnmatch_lines([UNMARKED])


def test_a_suite_without_its_mark_in_a_folder_is_a_warning(project: pytest.Pytester) -> None:
    """It may be another program's; where warnings are errors it is an error without traceback."""
    write_suite(project, SUITE, "sound.toml")
    write_suite(project, SUITE.replace("evals = 1\n", ""))
    result = project.runpytest("-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*PytestCollectionWarning: " + UNMARKED])
    strict = project.runpytest("-W", "error")
    strict.assert_outcomes(errors=1)
    strict.stdout.fnmatch_lines([UNMARKED])
    assert "Traceback" not in strict.stdout.str()


def test_two_suites_with_images_of_one_name(project: pytest.Pytester) -> None:
    shutil.copytree(project.path / "pictures", project.path / "again")
    shutil.rmtree(project.path / "again" / "red")
    write_suite(project, SUITE.replace('"pictures"', '"again"'), "second.toml")
    result = project.runpytest()
    result.assert_outcomes(passed=2)
    run = last_run(project)
    assert [images.role for images in run.image_sets] == ["photographs", "photographs 2"]
    assert [item.images for item in run.items] == ["photographs", "photographs 2"]
    result.stdout.fnmatch_lines(["*colors (colors)*", "*colors (second)*"])


def test_one_place_written_in_two_ways_is_walked_once(project: pytest.Pytester) -> None:
    write_suite(project, SUITE.replace('"pictures"', '"pictures/../pictures"'), "second.toml")
    project.runpytest()
    assert len(last_run(project).passes) == 1


def test_listed_answers_are_held_against_images_and_classes(project: pytest.Pytester) -> None:
    sheet = '\n[check.expected_top1.color]\n"{image}" = "{name}"\n"blue/1.png" = "blue"\n'
    for image, name, said in (
        ("blue/9.png", "blue", 'lists "blue/9.png", which is not among the images; did you mean'),
        ("blue/2.png", "bleu", 'did you mean "blue"'),
    ):
        write_suite(project, SUITE + sheet.format(image=image, name=name))
        result = project.runpytest("colors.toml")
        result.assert_outcomes(errors=1)
        assert said in result.stdout.str()
    write_suite(project, SUITE + sheet.format(image="blue/2.png", name="blue").replace("r]", "s]"))
    assert project.runpytest("colors.toml").ret == 2


def test_top5_of_three_classes_is_no_number(project: pytest.Pytester) -> None:
    project.runpytest("colors.toml")
    metrics = {metric.name: metric for metric in last_run(project).items[0].metrics}
    assert metrics["top5_accuracy"].value is None
    assert metrics["top5_accuracy"].reason == "each of 3 classes is among the five likeliest"


def test_a_network_without_checkpoint_is_remarked_upon(project: pytest.Pytester) -> None:
    result = project.runpytest("colors.toml")
    result.stdout.fnmatch_lines(["warning: color: no checkpoint; judged with the weights*"])


def test_a_prefix_and_half_precision_are_remarked_upon(project: pytest.Pytester) -> None:
    """A Lightning checkpoint in a network of half precision: judged as the one in fp32 is."""
    scaled = (
        "\nclass Scaled(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.scale = nn.Parameter(torch.zeros(3))\n"
        "    def forward(self, pixels):\n        return pixels.mean(dim=(2, 3)) * self.scale\n"
        "def half():\n    return Scaled().half()\n"
    )
    own = card("half", "nets:half").replace("classes =", 'checkpoint = "last.ckpt"\nclasses =')
    with project.path.joinpath("pyproject.toml").open("a") as file:
        file.write(own)
    project.path.joinpath("nets.py").write_text(NETS + scaled)
    state = {"model.scale": torch.full((3,), 10.0), "loss.weight": torch.ones(3)}
    torch.save({"state_dict": state}, project.path / "last.ckpt")
    write_suite(project, SUITE.replace('"color"', '"color", "half"'))
    result = project.runpytest("colors.toml", "-v")
    taken_off = 'the prefix "model." was taken off the names, 1 outside it not used (loss.weight)'
    result.stdout.fnmatch_lines(
        [
            f"warning: half: file last.ckpt: {taken_off}",
            "warning: half: computes in float16, the type of its weights",
        ]
    )
    run = last_run(project)
    values = [item.metrics[0].value for item in run.items]
    assert values == [11 / 12, 11 / 12]


def test_pictures_that_cannot_be_drawn_cost_no_verdict(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise ValueError("no ink")

    monkeypatch.setattr("vision_evals.engine.pictures.save", fail)
    project.runpytest("colors.toml").assert_outcomes(passed=1)
    assert any("no ink" in warning for warning in last_run(project).warnings)
