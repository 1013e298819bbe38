"""timm's networks with timm's weights and preprocessing: ``timm:NAME`` or ``timm:NAME.TAG``."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from vision_evals.core.errors import NotFetchedError, UnavailableError, UserError, did_you_mean
from vision_evals.models.card import Card, Input
from vision_evals.models.checkpoint import load_state_dict
from vision_evals.models.download import TIMEOUT_SECONDS, fetch, hash_digits, hub_file, missing
from vision_evals.models.fit import fit
from vision_evals.models.source import Blueprint, NetworkFacts, Weights
from vision_evals.models.weights_file import sha256_of

_FILES = ("model.safetensors", "pytorch_model.bin")


def facts(card: Card) -> NetworkFacts:
    """Return the preprocessing of the weights; timm publishes its accuracies elsewhere."""
    published = _published(card)
    if card.input is not None or not _has_weights(published):
        return NetworkFacts(card.input)
    config = load_timm().data.resolve_data_config(pretrained_cfg=published.to_dict())
    _, *crop = config["input_size"]
    resize: Any = [math.floor(side / config["crop_pct"]) for side in crop]
    if config["crop_mode"] == "center" and resize[0] == resize[1]:
        resize = resize[0]
    elif config["crop_mode"] != "squash":
        raise UserError(
            f"{card.network}: its pictures are fitted by {config['crop_mode']!r} to "
            f"{crop[0]} x {crop[1]}, which is not supported; write a card with its input"
        )
    return NetworkFacts(
        Input(
            resize=resize,
            crop=crop[0] if crop[0] == crop[1] else crop,
            interpolation=config["interpolation"],
            mean=config["mean"],
            std=config["std"],
        )
    )


def unavailable(card: Card) -> str | None:
    """Return why the weights cannot be had without a download, or None."""
    try:
        published = _published(card)
    except UnavailableError as error:
        return str(error)
    if not _has_weights(published):
        return f"timm publishes no weights of {card.name}"
    if not published.hf_hub_id:
        return missing(hub_file(published.url))
    return None if _cached(published) else f"{published.hf_hub_id} is not in the hub's cache"


def weights(card: Card, *, download: bool) -> Weights:
    """Return timm's weights."""
    published = _published(card)
    if not _has_weights(published):
        raise UserError(f"{card.network}: timm publishes no weights of it; name a checkpoint")
    file = _fetch(published, download=download)
    state = load_state_dict(file, card.sha256 or hash_digits(file))
    origin = f"timm {published.architecture}.{published.tag}".rstrip(".")
    return Weights(state, origin, sha256_of(file))


def network(blueprint: Blueprint) -> tuple[nn.Module, str]:
    """Return the network; timm translates the names of its own weights, a checkpoint must fit."""
    card, classes, where = blueprint.card, blueprint.classes, blueprint.where
    assert blueprint.state is not None
    timm = load_timm()
    if card.checkpoint:
        built: nn.Module = timm.create_model(card.name, num_classes=classes)
        return built, fit(built, blueprint.state, where)
    published = _published(card)
    if published.num_classes != classes:
        raise UserError(
            f"{card.network} has {published.num_classes} classes, the class map {classes}; "
            "name a file with its classes in a card"
        )
    overlay = {"state_dict": dict(blueprint.state)}
    try:
        built = timm.create_model(card.name, pretrained=True, pretrained_cfg_overlay=overlay)
    except (RuntimeError, KeyError, ValueError) as error:
        raise UserError(f"{where}: timm cannot load these weights: {error}") from error
    vars(built)["pretrained_cfg"].pop("state_dict", None)  # else all weights are held twice
    return built, ""


def load_timm() -> ModuleType:
    """Return the package timm, or raise an UnavailableError."""
    try:
        import timm
        import timm.data
    except ImportError:
        raise UnavailableError(
            "the package timm is not installed; pip install 'vision-evals[timm]'"
        ) from None
    return timm


def _published(card: Card) -> Any:
    timm = load_timm()
    if card.weights:
        raise UserError(f"{card.network}: weights = {card.weights!r}: write timm:NAME.TAG instead")
    if not timm.is_model(card.name):
        near = did_you_mean(card.name, timm.list_models())
        raise UserError(f'timm has no network "{card.name}"{near}')
    try:
        published = timm.get_pretrained_cfg(card.name)
    except RuntimeError:
        near = did_you_mean(card.name, timm.list_pretrained(f"{card.name.partition('.')[0]}.*"))
        raise UserError(f'timm has no weights "{card.name}"{near}') from None
    return published


def _has_weights(published: Any) -> bool:
    return bool(published.hf_hub_id or published.url)


def _cached(published: Any) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    repository, revision, names = _on_the_hub(published)
    for name in names:
        file = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(file, str):
            return Path(file)
    return None


def _on_the_hub(published: Any) -> tuple[str, str | None, tuple[str, ...]]:
    """Return repository, revision, and possible names of the file."""
    repository, _, revision = published.hf_hub_id.partition("@")
    own = published.hf_hub_filename
    return repository, revision or None, (own,) if own else _FILES


def _fetch(published: Any, *, download: bool) -> Path:
    if not published.hf_hub_id:
        return fetch(published.url, download=download)
    if cached := _cached(published):
        return cached
    missing_file = f"{published.hf_hub_id} is not in the hub's cache"
    if not download:
        raise NotFetchedError(f"{missing_file}; name it with --evals-model to download it")
    import huggingface_hub

    repository, version, names = _on_the_hub(published)
    reason: Exception | None = None
    for name in names:
        try:
            # one request first: the download itself retries for half a minute
            url = huggingface_hub.hf_hub_url(repository, name, revision=version)
            huggingface_hub.get_hf_file_metadata(url, timeout=TIMEOUT_SECONDS)
            return Path(huggingface_hub.hf_hub_download(repository, name, revision=version))
        except Exception as error:  # noqa: BLE001 - its errors have no common class
            reason = error
            if not isinstance(error, huggingface_hub.errors.EntryNotFoundError):
                break
    raise UnavailableError(
        f"{missing_file} and cannot be downloaded ({type(reason).__name__}); fetch it once "
        "on a machine with a network, and copy the cache"
    ) from reason
