"""Logs of older formats, upgraded: one pure function for each step from format to format.

A step gets the JSON of one format and returns that of the next. Formats before 3 had sentences
where there are fields now; only this module parses them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vision_evals.log.classifier import epoch_of
from vision_evals.log.run import VERSION

Json = dict[str, Any]


def upgraded(data: Any) -> Any:
    """Return the JSON of a log in the current format; other data stays as it is.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: a part of it is malformed.
    """
    version = data.get("version") if isinstance(data, dict) else None
    if type(version) is not int or version not in STEPS:
        return data
    for step in range(version, VERSION):
        data = STEPS[step](data) | {"version": step + 1}
    return data


def _more_fields(run: Json) -> Json:
    """Return format 2, which has more fields: they have defaults."""
    return run


def _fields_for_sentences(run: Json) -> Json:
    """Return format 3, which has fields where format 2 had sentences, and other names."""
    settings = run.get("settings", {})
    device = settings.get("device", "")
    several = device.split(", ") if ", " in device else []
    rest = {key: value for key, value in run.items() if key != "walks"}
    return rest | {
        "settings": settings | {"devices": several},
        "passes": [_pass(walk) for walk in run.get("walks", ())],
        "classifiers": [_classifier(card) for card in run.get("classifiers", ())],
        "items": [_item(item) for item in run.get("items", ())],
        "mutants": [_mutant(mutant) for mutant in run.get("mutants", ())],
    }


def _pass(walk: Json) -> Json:
    return {"fast_paths" if key == "lanes" else key: value for key, value in walk.items()}


def _validity(check: Json) -> Json:
    return check | {"outcome": _OUTCOMES.get(check["outcome"], check["outcome"])}


_OUTCOMES = {"holds": "passed", "falls": "failed", "cannot tell": "undecided"}
"""Outcomes of a validity check up to format 2."""

STEPS: Mapping[int, Callable[[Json], Json]] = {1: _more_fields, 2: _fields_for_sentences}
"""By the format that a step reads."""


def _classifier(card: Json) -> Json:
    classes = card.get("classes", "")
    counted = re.fullmatch(r"(.*) \((\d+)\)", classes, re.DOTALL)
    rest = {key: value for key, value in card.items() if key != "classes"}
    return rest | {
        "class_map": counted[1] if counted else classes,
        "class_count": int(counted[2]) if counted else None,
        "epoch": epoch_of(card.get("alias", ""), card.get("place")),
    }


def _mutant(mutant: Json) -> Json:
    notices = {key: mutant.get(key) for key in ("behaviour", "structure")}
    return mutant | {key: notice and _notice(notice) for key, notice in notices.items()}


def _notice(notice: Json) -> Json:
    check, _, alias = notice["item"].partition("::")[2].rpartition("[")
    return notice | {"check": check, "classifier": alias.removesuffix("]")}


def _item(item: Json) -> Json:
    metrics = item.get("metrics", ())
    judgements = [_judgement(old, metrics) for old in item.get("judgements", ())]
    validity = [_validity(check) for check in item.get("validity", ())]
    refused = any(judgement["verdict"] == "invalid" for judgement in judgements) or any(
        check["outcome"] == "failed" and check.get("severity", "error") == "error"
        for check in validity
    )
    sentence = item["sentence"]
    upgraded_item = item | {
        "metrics": [_metric(metric, item) for metric in metrics],
        "judgements": judgements,
        "validity": validity,
        "pictures": [_picture(picture) for picture in item.get("pictures", ())],
        "plots": [_plot(plot) for plot in item.get("plots", ())],
        "worst_first": _WORST_FIRST.get(item["measure"]),
        # a reason that nothing else holds stands alone
        "sentence": sentence if refused else sentence.removeprefix("INVALID: "),
    }
    comparison = item.get("comparison")
    if comparison is not None:
        upgraded_item["comparison"] = comparison | {"paths": _paths(comparison.get("paths"))}
    return upgraded_item


def _metric(metric: Json, item: Json) -> Json:
    name, measure, at = metric["name"], item["measure"], metric.get("at")
    points = {other.get("at") for other in item["metrics"] if other["name"] == name}
    lists = {
        key: {str(value) for value in values}
        for key, values in item.get("parameters", {}).items()
        if isinstance(values, list)
    }
    axis = next((key for key, values in lists.items() if points <= values), None)
    names = (other["name"] for other in item["metrics"])
    refined = (other for other in names if name.startswith(f"{other}_"))
    return metric | {
        "axis": None if at is None else axis,
        "refines": None if at is None else next(refined, None),
        "headline": _HEADLINES.get((measure, name)),
    }


_NUMBER = r"[-+\d.e]+"
_BOUND = re.compile(
    rf"(at least|at most) (?:{_NUMBER}|(the published|that of \S.*?)"
    rf"(?: \+ ({_NUMBER}))?(?: - ({_NUMBER}))?(?: = {_NUMBER})?)"
)


def _judgement(judgement: Json, metrics: Iterable[Json]) -> Json:
    key = judgement["metric"], judgement.get("at")
    metric = next((m for m in metrics if (m["name"], m.get("at")) == key), {})
    gate, sentence = judgement.get("gate"), judgement["sentence"]
    n = gate["paired"]["n"] if gate else metric.get("n", 0)
    further = sentence.partition(f"n = {n:,}")[2]
    interval = None if gate else re.search(r"([\d.]+) % interval", sentence)
    bound = _BOUND.fullmatch(judgement["wanted"])
    shown = judgement.get("severity") == "warn" or judgement.get("known") is not None
    rest = {name: value for name, value in judgement.items() if name != "wanted"}
    return rest | {
        "side": bound and bound[1].replace(" ", "_"),
        "of": judgement.get("of") or (bound and _of(bound[2])),  # which format 1 did not say
        "plus": float((bound and bound[3]) or 0),
        "minus": float((bound and bound[4]) or 0),
        "rule": "" if bound else judgement["wanted"],
        "further": further.removeprefix(f"; there is no interval: {metric.get('reason')}"),
        "confidence": interval and round(float(interval[1]) / 100, 9),
        "excused": shown and judgement["verdict"] in {"failed", "inconclusive"},
    }


def _of(words: str | None) -> str | None:
    named = {"the published": "published", "that of the baseline": "baseline"}
    return words and named.get(words, words.removeprefix("that of "))


def _picture(picture: Json) -> Json:
    plot = picture.get("plot")
    panels = [_panel(panel) for panel in picture.get("panels", ())]
    return picture | {"panels": panels, "plot": plot and _plot(plot)}


_ANSWER = re.compile(r"(.+) ([01]\.\d\d)", re.DOTALL)


def _panel(panel: Json) -> Json:
    title, text = panel["title"], panel.get("said", "")
    head, _, tail = title.partition(": ")
    below, inline = _ANSWER.fullmatch(text), _ANSWER.fullmatch(tail)
    answer = below or inline
    return {
        "title": title if below or not inline else head,
        "answer": answer and answer[1],
        "confidence": answer and min(float(answer[2]), 1.0),
        "note": "" if below else text,
        "original": title == "image",
    }


def _plot(plot: Json) -> Json:
    return plot | {"lines": [_line(line) for line in plot["lines"]]}


def _line(line: Json) -> Json:
    named = re.fullmatch(r"seed (\d{1,9})[ ,:]*(.*)", line["name"], re.DOTALL)
    return line if named is None else line | {"seed": int(named[1]), "name": named[2]}


_PATH = re.compile(r"(decoder|device|forwards): (.*) there, (.*) here", re.DOTALL)
_SIDE = re.compile(
    r"(.*?)(?: \((?:(not measured)|([\d,]+) of ([\d,]+) decisions changed"
    rf"(?:, logits by up to ({_NUMBER}))?)\))?",
    re.DOTALL,
)


def _paths(sentence: str | None) -> list[Json]:
    parts = (sentence or "").removeprefix("computed on different paths, ").split("; ")
    steps = filter(None, map(_PATH.fullmatch, parts))
    return [{"step": s[1], "before": _side(s[2]), "now": _side(s[3])} for s in steps]


def _side(text: str) -> Json:
    match = _SIDE.fullmatch(text)
    assert match is not None, "everything after the words may be missing"
    words, unmeasured, changed, n, error = match.groups()
    return {
        "words": words,
        "n": 0 if unmeasured else n and int(n.replace(",", "")),
        "changed": int((changed or "0").replace(",", "")),
        "logit_error": error and float(error),
    }


_HEADLINES: Mapping[tuple[str, str], Json] = {
    ("accuracy", "top5_accuracy"): {"label": "top-5 accuracy", "rank": 1},
    ("fgsm", "robust_accuracy"): {"label": "one-step robust accuracy", "rank": 2},
    ("adversarial", "robust_accuracy"): {"label": "many-step robust accuracy", "rank": 3},
    ("dead_relu", "dead_fraction"): {"label": "dead units", "rank": 4},
    ("training", "dead_at_end"): {"label": "dead units after training", "rank": 5},
    ("dropout_gap", "accuracy_gap"): {"label": "dropout gap", "rank": 6, "share": False},
    ("predictions", "confidence_mean"): {"label": "confidence", "rank": 7, "unlike": True},
}
"""Headlines of cards up to format 2, whatever the measures declare today."""


def _worst(meaning: str, word: str = "worst") -> Json:
    return {"word": word, "meaning": f"The {word} are {meaning}."}


_WORST_FIRST: Mapping[str, Json] = {
    "accuracy": _worst("the images whose right class a network gave the smallest probability"),
    "predictions": _worst(
        "those of which a network was surest. Nobody says what is right here, so these are no "
        "mistakes",
        "most confident",
    ),
    "fgsm": _worst("those that became most confidently wrong"),
    "adversarial": _worst("those that became most confidently wrong"),
    "targeted": _worst("those that the smallest budget made surest of the target"),
    "linear_response": _worst("those that turn wrong at the smallest change"),
    "dropout_gap": _worst("those to which most masks answer otherwise than eval mode"),
}
"""Descriptions of the pictures that a measure put first."""
