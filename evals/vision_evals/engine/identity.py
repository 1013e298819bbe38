"""A classifier as it is loaded, held against itself in earlier runs."""

from __future__ import annotations

import datetime
import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from pydantic import ValidationError

from vision_evals import log
from vision_evals.core.cache.code import code_digest
from vision_evals.core.cache.store import Cache, CacheEntry
from vision_evals.core.errors import UserError
from vision_evals.engine import state_guard
from vision_evals.log.identity import likeness
from vision_evals.models.classifier import Classifier
from vision_evals.models.fingerprint import traceable
from vision_evals.models.probe_answers import INPUTS, probe_answers


def identified(classifier: Classifier, cache: Cache | None) -> Classifier:
    """Return a classifier with its answers to fixed inputs.

    Args:
        classifier: as it was loaded, on its device.
        cache: with the answers of earlier runs; None where nothing is kept.

    Raises:
        UserError: it answers otherwise than before with an equal fingerprint, in an equal
            environment.
    """
    changes = state_guard.Changes()
    with state_guard.watch({classifier.name: classifier.network}, changes):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - a network may draw from any of them
        random.seed(0)
        answers = probe_answers(classifier)
    changed = tuple(changes.by_alias.get(classifier.name, ()))
    if changed:
        parts = ", ".join(changed[:5])
        answers = log.ProbeAnswers(unknown=f"its first answers change the network ({parts})")
    hidden = traceable(classifier.network, classifier.card) or answers.unknown
    if cache is not None and hidden is None:
        _hold_against_earlier(classifier, answers, cache)
    return replace(classifier, answers=answers, hidden=hidden, changed=changed)


def _hold_against_earlier(classifier: Classifier, answers: log.ProbeAnswers, cache: Cache) -> None:
    """Refuse a classifier that answers otherwise than before; keep its first answers."""
    where = [answers.environment, answers.inputs, code_digest()]
    key = classifier.fingerprint, hashlib.sha256(json.dumps(where).encode()).hexdigest()
    now = _in_log(classifier, answers)
    entry = cache.get("answers", *key)
    before = None if entry is None else _in_log(classifier, _read(entry))
    if before is None or entry is None or before.answers is None:
        written = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        about = {"classifier": classifier.name, "measure": "", "n": INPUTS, "written": written}
        cache.put("answers", *key, CacheEntry(about, answers.model_dump_json().encode()))
    elif (found := likeness(before, now)).changed_unseen:
        raise UserError(
            f"{classifier.name}: something the fingerprint does not see changed since "
            f"{entry.about.get('written')}: {found.remark}. A file that the network reads, a "
            "variable of the environment or a patched library may be the cause: make it a buffer "
            "or an attribute of the network, or put it back. `evals cache prune --all` forgets "
            "what it answered before"
        )


def _in_log(classifier: Classifier, answers: log.ProbeAnswers | None) -> log.Classifier:
    return log.Classifier(
        alias=classifier.alias, network="", fingerprint=classifier.fingerprint, answers=answers
    )


def _read(entry: CacheEntry) -> log.ProbeAnswers | None:
    try:
        return log.ProbeAnswers.model_validate_json(entry.payload)
    except ValidationError:
        return None  # the cache entry is damaged


def joined(classifiers: Sequence[Classifier]) -> log.ProbeAnswers | None:
    """Return the answers of all seeds of a recipe as one record, or those of one network."""
    every = [classifier.answers for classifier in classifiers]
    known = [answers for answers in every if answers is not None]
    unknown = next((answers for answers in known if answers.unknown is not None), None)
    if len(known) < len(every) or unknown is not None:
        return unknown
    noise = max(answers.noise or 0.0 for answers in known)
    logits = tuple(logits for answers in known for logits in answers.logits)
    return known[0].model_copy(update={"logits": logits, "noise": noise})
