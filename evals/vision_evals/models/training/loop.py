"""The training loop: torch.optim's steps on cross-entropy, every epoch looked at when it ends."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vision_evals import log
from vision_evals.core.progress import Advance
from vision_evals.models.recipe import Optimizer, Recipe
from vision_evals.models.training import history
from vision_evals.models.training.data import Data
from vision_evals.models.training.history import Forward, Look, Walk
from vision_evals.models.training.layers import layers, small_weight_fraction
from vision_evals.models.training.seeds import draws, seeded

_OPTIMIZERS: Mapping[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}


def optimizer_of(network: nn.Module, table: Optimizer) -> torch.optim.Optimizer:
    """Return the optimiser of a recipe; what it does not name is torch's default."""
    options: dict[str, Any] = {"lr": table.lr, "weight_decay": table.weight_decay}
    if table.name in {"sgd", "rmsprop"}:
        options["momentum"] = table.momentum
    return _OPTIMIZERS[table.name](network.parameters(), **options)


def train(
    network: nn.Module,
    normalise: nn.Module,
    data: Data,
    recipe: Recipe,
    seed: int,
    *,
    device: torch.device,
    advance: Advance,
) -> log.Training:
    """Train a network in place, from its present weights, and return how that went.

    Nothing waits for the device inside an epoch. The weights left in the network are those of
    ``returned_epoch``, and after a divergence those of the last epoch that was finite. The global
    generators are left as they were.

    Args:
        network: on the device; left in eval mode.
        normalise: from pixels in [0, 1] to what the network is fed.
        data: what it sees.
        recipe: how.
        seed: of the order of images, random crops and dropout.
        device: where.
        advance: told of every step, and of every epoch in words.
    """
    started = time.perf_counter()
    with seeded(seed, "dropout", device):
        course = _Course(network, normalise, data, recipe, seed, device)
        course.look()
        while not course.over:
            course.walk(advance)
    course.put_back()
    return log.Training(
        seed=seed,
        data=recipe.data,
        train_images=len(data.train),
        validation_images=len(data.validation),
        epochs=tuple(course.epochs),
        returned_epoch=course.returned,
        stopped_early=course.stopped,
        diverged=course.diverged,
        small_weight_fraction=None if course.diverged else small_weight_fraction(network),
        seconds=time.perf_counter() - started,
    )


class _Course:
    """How far a training is."""

    def __init__(
        self,
        network: nn.Module,
        normalise: nn.Module,
        data: Data,
        recipe: Recipe,
        seed: int,
        device: torch.device,
    ) -> None:
        self._network, self._recipe, self._seed = network, recipe, seed
        self._train, self._validation = data.train.reader(device), data.validation.reader(device)
        self._order, self._whole = len(data.train), torch.arange(len(data.validation))
        self._optimizer = optimizer_of(network, recipe.optimizer)
        self._before: Look | None = None
        self._states: dict[int, dict[str, Tensor]] = {}
        self.epochs: list[log.Epoch] = []
        self.diverged: str | None = None

        def forward(pixels: Tensor) -> Tensor:
            logits: Tensor = network(normalise(pixels.to(torch.float32).div(255)))
            return logits

        self._forward: Forward = forward

    @property
    def lowest(self) -> int:
        """The first epoch of the lowest validation loss; 0 is the network before any step."""
        losses = [e.validation_loss for e in self.epochs]
        return min(range(len(losses)), key=lambda i: (losses[i] is None, losses[i] or 0.0))

    @property
    def impatient(self) -> bool:
        """Whether the validation loss has not fallen for as long as the recipe waits."""
        early = self._recipe.early_stopping
        return early is not None and len(self.epochs) - 1 - self.lowest >= early.patience

    @property
    def over(self) -> bool:
        """Whether no epoch is to come."""
        through = len(self.epochs) > self._recipe.epochs
        return through or self.impatient or self.diverged is not None

    @property
    def stopped(self) -> bool:
        """Whether early stopping saved epochs."""
        ended = len(self.epochs) <= self._recipe.epochs
        return ended and self.impatient and self.diverged is None

    @property
    def returned(self) -> int | None:
        """Whose weights the network is left with; None when it diverged."""
        if self.diverged is not None:
            return None
        return self.lowest if self._recipe.early_stopping else len(self.epochs) - 1

    def look(self, walk: Walk | None = None) -> None:
        """Record the epoch that ended, and keep its weights as long as they may be wanted."""
        number, steps = len(self.epochs), self._steps + (0 if walk is None else len(walk.losses))
        none = draws(self._seed)
        seen = history.look(
            self._network,
            self._forward,
            self._validation(self._whole, self._recipe.batch_size, none),
        )
        self.epochs.append(history.epoch(number, steps, walk, seen, self._before))
        self._before = seen
        self._states[number] = {k: v.clone() for k, v in self._network.state_dict().items()}
        for other in set(self._states) - {number, self.lowest}:
            del self._states[other]

    def walk(self, advance: Advance) -> None:
        """Make the steps of one epoch, and look, unless numbers ended there."""
        number, steps = len(self.epochs), self._steps
        order = torch.randperm(self._order, generator=draws(self._seed, "order", str(number)))
        crops = draws(self._seed, "crops", str(number))
        batches = self._train(order, self._recipe.batch_size, crops)
        walk = self._stepped(batches, advance)
        self.diverged = _not_finite(self._network, walk, steps, number)
        if self.diverged is not None:
            self.epochs.append(history.broken(number, steps + len(walk.losses), walk))
            return
        self.look(walk)
        loss = f"loss {self.epochs[-1].train_loss:.3f}"
        advance(0, f"epoch {number} of {self._recipe.epochs}, {loss}")

    def put_back(self) -> None:
        """Put the weights to return into the network."""
        kept = self.returned if self.diverged is None else len(self.epochs) - 2
        assert kept is not None
        self._network.load_state_dict(self._states[kept])
        self._network.eval()

    @property
    def _steps(self) -> int:
        return self.epochs[-1].steps if self.epochs else 0

    def _stepped(self, batches: Iterable[tuple[Tensor, Tensor]], advance: Advance) -> Walk:
        weighted = [layer.weight for _, layer in layers(self._network)]
        losses, correct, ratios, images = [], [], [], 0
        self._network.train()
        for pixels, classes in batches:
            self._optimizer.zero_grad()
            logits = self._forward(pixels)
            loss = cross_entropy(logits, classes)
            loss.backward()  # type: ignore[no-untyped-call]
            ratios.append(_ratio(weighted, loss))
            _lasso(weighted, self._recipe.optimizer.l1)
            self._optimizer.step()
            losses.append(loss.detach())
            correct.append((logits.detach().argmax(1) == classes).sum())
            images += len(classes)
            advance(1)
        return Walk(
            losses=torch.stack(losses).cpu(),
            correct=int(torch.stack(correct).sum()),
            images=images,
            ratios=torch.stack(ratios).cpu(),
        )


def _ratio(weights: Sequence[Tensor], loss: Tensor) -> Tensor:
    """Return the norm of the gradient in the first weights over that in the last."""
    grads = [weights[i].grad for i in (0, -1)] if weights else [None]
    if any(grad is None for grad in grads):
        return loss.new_full((), torch.nan)
    first, last = (torch.linalg.vector_norm(grad) for grad in grads if grad is not None)
    ratio: Tensor = first / last
    return ratio


def _lasso(weights: Sequence[Tensor], l1: float) -> None:
    """Add the slope of ``l1`` times the sum of absolute weights: its sign, and 0 at 0."""
    for weight in weights if l1 else ():
        if weight.grad is not None:
            weight.grad.add_(weight.detach().sign(), alpha=l1)


def _not_finite(network: nn.Module, walk: Walk, steps: int, number: int) -> str | None:
    bad = (~walk.losses.isfinite()).nonzero()
    if len(bad):
        return f"the loss was not finite at step {steps + int(bad[0]) + 1}, epoch {number}"
    numbers = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
    finite = torch.stack([tensor.isfinite().all() for tensor in numbers.values()]).tolist()
    for name, whole in zip(numbers, finite, strict=True):
        if not whole:
            last = steps + len(walk.losses)
            return f"{name} was not finite after step {last}, epoch {number}"
    return None
