"""How many images a batch has, from the selected checks and the device."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.nn.parameter import is_lazy

from vision_evals.core.errors import UserError
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.tasks import RunConfig
from vision_evals.models.build import preprocessing, source_of
from vision_evals.models.device import default_batch
from vision_evals.models.recipe import BUILT_IN_DATA
from vision_evals.models.request import Request
from vision_evals.suite.options import Source
from vision_evals.verdict.job import Job


def largest_area(jobs: Iterable[Job], source: Source, catalog: Catalog) -> int | None:
    """Return the pixels of the largest input among all classifiers on a source.

    The batch size follows from it. It depends only on the selection, not on what could be loaded or
    on the process: otherwise the last bits of rows would depend on these.
    """
    requests = {
        request
        for job in jobs
        if source in job.sources
        for request in (job.request, *map(catalog.request, job.check.references(job.alias)))
    }
    return max((_area(request, catalog) for request in requests), default=0) or None


def gradients(jobs: Iterable[Job], source: Source) -> bool:
    """Return whether a selected check needs gradients on a source."""
    measures = (job.measure for job in jobs if source in job.sources)
    return any(measure.gradient or measure.attack is not None for measure in measures)


def _area(request: Request, catalog: Catalog) -> int:
    try:
        card, _ = catalog.registry.card(request.name)
        if card.recipe is not None:
            side = 32 if card.recipe.data in BUILT_IN_DATA else 224
            return (card.recipe.size or side) ** 2
        return preprocessing(request.alias, card, source_of(card).facts(card)).geometry.area
    except UserError:
        return 0  # reported where it is loaded


def images_per_batch(config: RunConfig, area: int, *, gradients: bool) -> int:
    """Return how many images a forward takes.

    Args:
        config: how to compute.
        area: pixels of the largest input.
        gradients: whether a check needs gradients on them.
    """
    if config.batch_size is not None:
        return config.batch_size
    return default_batch(config.device, area, gradients=gradients)


def max_images_per_forward(config: RunConfig, area: int, network: nn.Module) -> int | None:
    """Return how many images a forward without gradients takes; None: as many as a batch has.

    Larger batches fill a GPU. On a CPU they only help a network of mostly dense layers, whose
    weights are read for each batch: alexnet gains 1.8 times, efficientnet_lite0 loses a tenth.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    dense = sum(layer.weight.numel() for layer in layers if not is_lazy(layer.weight))
    total = sum(weight.numel() for weight in network.parameters() if not is_lazy(weight))
    if config.batch_size is not None or (config.device.type == "cpu" and 2 * dense < total):
        return None
    return default_batch(config.device, area, gradients=False)
