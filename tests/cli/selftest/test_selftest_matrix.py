"""The kill matrix on outcomes made by hand: who noticed, when it ends, what counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vision_evals import log
from vision_evals.cli.selftest.matrix import (
    Evaluations,
    OpenChecks,
    SuiteRound,
    attempt,
    sound,
    verdict,
)
from vision_evals.cli.selftest.mutant import Mutant
from vision_evals.core.errors import UserError
from vision_evals.engine.evaluate import Evaluation
from vision_evals.engine.jobs import Catalog
from vision_evals.log import Judgement, Validity, Verdict
from vision_evals.models.classifier import Classifier
from vision_evals.suite.options import read
from vision_evals.validity.check import ValidityCheck, differentiating, every, passed

SUITE = """
evals = 1
title = "t"
models = ["squeezenet1_1_caffe"]
[[check]]
name = "seen"
measure = "accuracy"
images = "photographs"
expect = []
[[check]]
name = "seen-again"
measure = "accuracy"
images = "photographs"
expect = []
[[check]]
name = "attacked"
measure = "fgsm"
images = "photographs"
expect = []
epsilons = ["1/255"]
"""


@pytest.fixture
def rounds(tmp_path: Path) -> tuple[SuiteRound, SuiteRound]:
    file = tmp_path / "s.toml"
    file.write_text(SUITE, encoding="utf-8")
    catalog = Catalog.read(
        read({}, tmp_path),
    )
    suite = catalog.suite(file, "s.toml")
    jobs = tuple(catalog.jobs(suite, tmp_path))
    return SuiteRound("cheap", jobs[:2]), SuiteRound("dear", jobs[2:])


def outcome(
    name: str, behaviour: Verdict = Verdict.PASSED, fallen: tuple[str, ...] = (), warn: str = ""
) -> Evaluation:
    said = Judgement(
        metric="top1",
        side="at_least",
        threshold=1,
        value=0,
        verdict=behaviour,
        sentence="0 < 1",
    )
    excused = said.model_copy(update={"metric": "known", "known": "said so", "excused": True})
    held = [Validity(name="calm", outcome="passed", evidence="e", meaning="m")]
    fell = [Validity(id="S1", name=n, outcome="failed", evidence="e", meaning="m") for n in fallen]
    soft = [
        Validity(name=n, outcome="failed", severity="warn", evidence="e", meaning="m")
        for n in filter(None, [warn])
    ]
    item = log.Item(
        id=name, suite="s", check="c", classifier="x", measure="m", verdict=behaviour,
        sentence="said", judgements=(excused, said),
    )  # fmt: skip
    logged = Verdict.INVALID if fallen else behaviour
    whole = item.model_copy(update={"verdict": logged, "validity": (*held, *soft, *fell)})
    return Evaluation(whole, item)


def same(one: SuiteRound, **given: object) -> dict[str, Evaluation]:
    return {job.id: outcome(job.id, **given) for job in one.jobs}  # type: ignore[arg-type]


MUTANT = Mutant("m", "nothing", lambda _: None, lambda classifier: classifier)


def test_noticed_by_both_ends_the_suites(
    rounds: tuple[SuiteRound, SuiteRound], small: Callable[..., Classifier]
) -> None:
    before = {**same(rounds[0]), **same(rounds[1])}
    asked = []

    def judge(one: SuiteRound, _: Classifier, asking: bool) -> Evaluations:
        asked.append((one.suite, asking))
        return same(one, behaviour=Verdict.FAILED, fallen=("logits",))

    found = attempt(MUTANT, small(), rounds, lambda _: before, judge)
    assert asked == [("cheap", True)]
    assert found.suites == ("cheap",)
    assert found.behaviour == log.Notice(
        item=rounds[0].jobs[0].id, check="c", classifier="x", name="top1", sentence="0 < 1"
    )
    assert found.structure is not None
    assert found.structure.name == "S1 logits"
    assert found.killed


def test_what_fell_before_and_what_only_warns_notices_nothing(
    rounds: tuple[SuiteRound, SuiteRound], small: Callable[..., Classifier]
) -> None:
    before = {
        name: outcome(name, Verdict.FAILED, ("logits",)) for one in rounds for name in same(one)
    }

    def judge(one: SuiteRound, _: Classifier, asking: bool) -> Evaluations:
        del asking
        return same(one, behaviour=Verdict.FAILED, fallen=("logits",), warn="odd")

    found = attempt(MUTANT, small(), rounds, lambda _: before, judge)
    assert (found.behaviour, found.structure) == (None, None)
    assert found.suites == ("cheap", "dear")


@pytest.mark.parametrize("after", [Verdict.NOT_APPLICABLE, Verdict.INVALID, Verdict.RECORDED])
def test_an_item_without_numbers_is_no_kill_by_behaviour(
    rounds: tuple[SuiteRound, SuiteRound], small: Callable[..., Classifier], after: Verdict
) -> None:
    before = {**same(rounds[0]), **same(rounds[1])}
    found = attempt(
        MUTANT, small(), rounds, lambda _: before, lambda o, *_: same(o, behaviour=after)
    )
    assert found.behaviour is None


def test_structure_is_not_asked_again_and_behaviour_still_is(
    rounds: tuple[SuiteRound, SuiteRound], small: Callable[..., Classifier]
) -> None:
    before = {**same(rounds[0]), **same(rounds[1])}
    asked = []

    def judge(one: SuiteRound, _: Classifier, asking: bool) -> Evaluations:
        asked.append((one.suite, len(one.jobs), asking))
        fell = Verdict.INCONCLUSIVE if one.suite == "dear" else Verdict.PASSED
        return same(one, behaviour=fell, fallen=("logits",) if asking else ())

    found = attempt(MUTANT, small(), rounds, lambda _: before, judge)
    assert asked == [("cheap", 2, True), ("dear", 1, False)]
    assert found.behaviour is not None
    assert found.behaviour.item == rounds[1].jobs[0].id


@pytest.mark.parametrize("noticed", [{"behaviour": Verdict.FAILED}, {"fallen": ("logits",)}])
def test_one_notice_is_enough_where_the_other_cannot_come(
    rounds: tuple[SuiteRound, SuiteRound],
    small: Callable[..., Classifier],
    noticed: dict[str, object],
) -> None:
    before = {**same(rounds[0]), **same(rounds[1])}

    def judge(one: SuiteRound, *_: object) -> Evaluations:
        return same(one, **noticed)

    own = (ValidityCheck(*("S1", "calm", "m.", "s"), every, lambda _: passed("e")),)
    lone = replace(MUTANT, one_is_enough=True)
    found = attempt(lone, small(), rounds, lambda _: before, judge, own)
    assert found.killed
    assert found.suites == ("cheap",)
    both = attempt(MUTANT, small(), rounds, lambda _: before, judge, own)
    assert both.suites == ("cheap", "dear")


def test_a_run_that_is_refused_is_noticed_and_ends(
    rounds: tuple[SuiteRound, SuiteRound], small: Callable[..., Classifier]
) -> None:
    def judge(*_: object) -> Evaluations:
        raise UserError('lists "b.png", which is not among the images')

    found = attempt(MUTANT, small(), rounds, lambda _: {}, judge)
    assert found.suites == ("cheap",)
    assert found.structure is not None
    assert (found.structure.name, found.structure.item) == ("refused", rounds[0].jobs[0].id)
    assert found.structure.sentence.startswith('lists "b.png"')


def test_after_behaviour_only_open_questions_are_worth_a_pass(
    rounds: tuple[SuiteRound, SuiteRound],
) -> None:
    calm = ValidityCheck(
        *("S1", "calm", "m.", "s"), every, lambda _: passed("e"), scope="classifier"
    )
    steep = replace(calm, id="S2", name="steep", guards=differentiating)
    cheap, dear = rounds
    nothing = OpenChecks((calm,))
    assert nothing.of(cheap).jobs == cheap.jobs[:1]  # one job a measure
    nothing.add(cheap, same(cheap))
    assert nothing.of(dear).jobs == ()
    more = OpenChecks((calm, steep))
    more.add(cheap, same(cheap))
    assert more.of(cheap).jobs == ()
    assert more.of(dear).jobs == dear.jobs
    own = OpenChecks((replace(calm, scope="measure"),))
    own.add(cheap, same(cheap))
    assert own.of(dear).jobs == dear.jobs
    own.add(dear, same(dear))
    assert own.of(dear).jobs == ()


def test_a_mutant_that_does_not_apply_is_not_made(
    rounds: tuple[SuiteRound, SuiteRound], small: Callable[..., Classifier]
) -> None:
    def never(*_: object) -> Evaluations:
        raise AssertionError

    odd = Mutant("m", "nothing", lambda _: "no such layer", lambda _: pytest.fail("made"))
    found = attempt(odd, small(), rounds, lambda _: {}, never)
    assert found.inapplicable == "no such layer"
    assert verdict([found]) == "killed 0 of 0 applicable; no survivors"


def test_a_mutant_that_cannot_be_made_does_not_apply(
    rounds: tuple[SuiteRound, SuiteRound], small: Callable[..., Classifier]
) -> None:
    def refuse(_: Classifier) -> Classifier:
        raise TypeError("cannot pickle a lock")

    odd = Mutant("m", "nothing", lambda _: None, refuse)
    found = attempt(odd, small(), rounds, lambda _: {}, lambda *_: {})
    assert found.inapplicable == "it cannot be made: TypeError: cannot pickle a lock"
    assert not found.killed


def test_an_interrupted_matrix_does_not_speak_of_survivors() -> None:
    entry = log.Mutant(name="a", about="", classifier="x")
    killed = entry.model_copy(
        update={
            "structure": log.Notice(item="i", check="c", classifier="a", name="n", sentence="s")
        }
    )
    assert verdict([killed], 11) == "killed 1 of 1 applicable; interrupted, 11 not tried"
    assert (
        verdict([killed, entry], 0) == "killed 1 of 2 applicable; survivors: a (no check noticed)"
    )


@pytest.mark.parametrize(
    "bad",
    [outcome("i", Verdict.FAILED), outcome("i", fallen=("x",)), outcome("i", Verdict.INCONCLUSIVE)],
)
def test_a_network_that_does_not_pass_is_no_ground(bad: Evaluation) -> None:
    sound({"i": outcome("i"), "j": outcome("j", Verdict.RECORDED)})
    with pytest.raises(UserError, match=r"does not pass as it is.*\n.*i: said"):
        sound({"i": bad})


def test_the_verdict_leaves_out_what_does_not_apply() -> None:
    notice = log.Notice(item="i", check="c", classifier="a", name="n", sentence="s")
    entry = log.Mutant(name="a", about="", classifier="x")
    mutants = [
        entry.model_copy(update={"behaviour": notice}),
        entry.model_copy(update={"structure": notice}),
        entry.model_copy(update={"name": "b"}),
        entry.model_copy(update={"name": "c", "excuse": "too small a change"}),
        entry.model_copy(update={"name": "d", "inapplicable": "no such layer"}),
    ]
    wanted = "killed 2 of 4 applicable; survivors: b (no check noticed), c (too small a change)"
    assert verdict(mutants) == wanted
