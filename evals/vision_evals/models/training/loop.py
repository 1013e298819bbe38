"""The training loop: torch.optim's steps on cross-entropy, with a validation after each epoch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vision_evals import log
from vision_evals.core.progress import Advance
from vision_evals.core.rng import generator
from vision_evals.models.layout import layout_of
from vision_evals.models.recipe import Optimizer, Recipe
from vision_evals.models.training import history
from vision_evals.models.training.data import Data
from vision_evals.models.training.history import EpochSteps, EpochValidation
from vision_evals.models.training.networks import layers, small_weight_fraction

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
        data: the images.
        recipe: how.
        seed: of the order of images, random crops and dropout.
        device: where.
        advance: called after every step, and after every epoch with a text.
    """
    started = time.perf_counter()
    with seeded(seed, "dropout", device):
        trainer = _Trainer(network, normalise, data, recipe, seed, device)
        trainer.validate()
        while not trainer.over:
            trainer.train_epoch(advance)
    trainer.restore_weights()
    return log.Training(
        seed=seed,
        data=recipe.data,
        train_images=len(data.train),
        validation_images=len(data.validation),
        epochs=tuple(trainer.epochs),
        returned_epoch=trainer.returned,
        stopped_early=trainer.stopped,
        diverged=trainer.diverged,
        small_weight_fraction=None if trainer.diverged else small_weight_fraction(network),
        seconds=time.perf_counter() - started,
    )


@dataclass
class _Trainer:
    """The state of one training."""

    network: nn.Module
    normalise: nn.Module
    data: Data
    recipe: Recipe
    seed: int
    device: torch.device
    epochs: list[log.Epoch] = field(default_factory=list)
    diverged: str | None = None
    """When it diverged, in words."""
    _previous: EpochValidation | None = None
    _states: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    """Weights by epoch."""

    def __post_init__(self) -> None:
        self._optimizer = optimizer_of(self.network, self.recipe.optimizer)
        self._train = self.data.train.reader(self.device)
        self._validation = self.data.validation.reader(self.device)
        last = layout_of(self.network) == "channels_last"
        self._format = torch.channels_last if last else torch.contiguous_format

    def _forward(self, pixels: Tensor) -> Tensor:
        levels = pixels.to(torch.float32, memory_format=self._format)
        logits: Tensor = self.network(self.normalise(levels.div(255)))
        return logits

    @property
    def lowest(self) -> int:
        """The first epoch of the lowest validation loss; 0 is the network before any step."""
        losses = [e.validation_loss for e in self.epochs]
        return min(range(len(losses)), key=lambda i: (losses[i] is None, losses[i] or 0.0))

    @property
    def impatient(self) -> bool:
        """Whether the validation loss has not fallen for as long as the recipe waits."""
        early = self.recipe.early_stopping
        return early is not None and len(self.epochs) - 1 - self.lowest >= early.patience

    @property
    def over(self) -> bool:
        """Whether the training has ended."""
        through = len(self.epochs) > self.recipe.epochs
        return through or self.impatient or self.diverged is not None

    @property
    def stopped(self) -> bool:
        """Whether early stopping saved epochs."""
        ended = len(self.epochs) <= self.recipe.epochs
        return ended and self.impatient and self.diverged is None

    @property
    def returned(self) -> int | None:
        """The epoch whose weights the network is left with; None when it diverged."""
        if self.diverged is not None:
            return None
        return self.lowest if self.recipe.early_stopping else len(self.epochs) - 1

    def validate(self, trained: EpochSteps | None = None) -> None:
        """Record the epoch that ended, and keep its weights while they may be returned."""
        number = len(self.epochs)
        steps = self._steps + (0 if trained is None else len(trained.losses))
        every = torch.arange(len(self.data.validation))
        batches = self._validation(every, self.recipe.batch_size, training_rng(self.seed))
        validation = history.validate(self.network, self._forward, batches)
        self.epochs.append(history.epoch_record(number, steps, trained, validation, self._previous))
        self._previous = validation
        self._states[number] = {k: v.clone() for k, v in self.network.state_dict().items()}
        for other in set(self._states) - {number, self.lowest}:
            del self._states[other]

    def train_epoch(self, advance: Advance) -> None:
        """Make the steps of one epoch, and validate, unless the training diverged."""
        number, steps = len(self.epochs), self._steps
        rng = training_rng(self.seed, "order", str(number))
        order = torch.randperm(len(self.data.train), generator=rng)
        crops = training_rng(self.seed, "crops", str(number))
        batches = self._train(order, self.recipe.batch_size, crops)
        trained = self._make_steps(batches, advance)
        self.diverged = _not_finite(self.network, trained, steps, number)
        if self.diverged is not None:
            self.epochs.append(history.diverged_record(number, steps, trained))
            return
        self.validate(trained)
        loss = f"loss {self.epochs[-1].train_loss:.3f}"
        advance(0, f"epoch {number} of {self.recipe.epochs}, {loss}")

    def restore_weights(self) -> None:
        """Put the weights of the returned epoch into the network."""
        epoch = self.returned if self.diverged is None else len(self.epochs) - 2
        assert epoch is not None
        self.network.load_state_dict(self._states[epoch])
        self.network.eval()

    @property
    def _steps(self) -> int:
        return self.epochs[-1].steps if self.epochs else 0

    def _make_steps(self, batches: Iterable[tuple[Tensor, Tensor]], advance: Advance) -> EpochSteps:
        weighted = [layer.weight for _, layer in layers(self.network)]
        losses, correct, ratios, images = [], [], [], 0
        self.network.train()
        for pixels, classes in batches:
            self._optimizer.zero_grad()
            logits = self._forward(pixels)
            loss = cross_entropy(logits, classes)
            loss.backward()  # type: ignore[no-untyped-call]
            ratios.append(_ratio(weighted, loss))
            _lasso(weighted, self.recipe.optimizer.l1)
            self._optimizer.step()
            losses.append(loss.detach())
            correct.append((logits.detach().argmax(1) == classes).sum())
            images += len(classes)
            advance(1)
        return EpochSteps(
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


def _not_finite(network: nn.Module, trained: EpochSteps, steps: int, number: int) -> str | None:
    bad = (~trained.losses.isfinite()).nonzero()
    if len(bad):
        return f"the loss was not finite at step {steps + int(bad[0]) + 1}, epoch {number}"
    numbers = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
    finite = torch.stack([tensor.isfinite().all() for tensor in numbers.values()]).tolist()
    for name, whole in zip(numbers, finite, strict=True):
        if not whole:
            last = steps + len(trained.losses)
            return f"{name} was not finite after step {last}, epoch {number}"
    return None


def training_rng(seed: int, *names: str) -> torch.Generator:
    """Return a CPU generator of a training, such as of (seed, "order", epoch)."""
    return generator(seed, "training", *names)


@contextmanager
def seeded(seed: int, purpose: str, device: torch.device) -> Iterator[None]:
    """Seed the global generators, from which dropout for example draws, and restore them after."""
    number = training_rng(seed, purpose).initial_seed()
    kind = getattr(torch, device.type)
    index = device.index if device.index is not None else kind.current_device()
    devices = [] if device.type == "cpu" else [index]
    with torch.random.fork_rng(devices=devices, device_type=device.type):
        torch.default_generator.manual_seed(number)
        if device.type == "cuda":
            with torch.cuda.device(index):
                torch.cuda.manual_seed(number)
        elif devices:
            kind.manual_seed(number)
        yield
