"""How networks were trained here: their recipes, and the result of each seed, epoch by epoch."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vision_evals.log import Classifier, Epoch, Line, Mark, Plot, Run, Training
from vision_evals.report import plots, rounding
from vision_evals.report.groups import grouped
from vision_evals.report.plots import Frame
from vision_evals.report.recipes import facts
from vision_evals.report.scales import Scale
from vision_evals.report.words import plural

_NONE = Epoch(epoch=0, steps=0)
"""Stands for the epoch that a diverged training did not return."""


@dataclass(frozen=True, slots=True)
class SeedOutcome:
    """What one seed came to; numbers are those of the epoch whose weights were returned."""

    seed: int
    ended: str
    returned: str
    train_loss: str
    validation_loss: str
    train_accuracy: str
    validation_accuracy: str
    small_weights: str
    seconds: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A share for each layer and epoch."""

    title: str
    about: str
    colour: str
    x_label: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    """Layer, and its share at each of the heads: the mean over the seeds that came so far."""

    @property
    def table(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The same as texts."""
        return tuple(
            (layer, tuple("" if share is None else rounding.brief(share) for share in shares))
            for layer, shares in self.rows
        )


@dataclass(frozen=True, slots=True)
class Course:
    """One recipe: what it says, what its seeds came to, and the curves."""

    anchor: str
    classifier: str
    colour: str
    network: str
    facts: tuple[tuple[str, str], ...]
    outcomes: tuple[SeedOutcome, ...]
    frames: tuple[Frame, ...]
    grid: Grid | None


@dataclass(frozen=True, slots=True)
class Lesson:
    """The recipes that one suite judges, side by side on the same axes."""

    title: str
    courses: tuple[Course, ...]


def lessons(run: Run, colours: Mapping[str, str]) -> tuple[Lesson, ...]:
    """Return the trained classifiers of a run, each below the first suite that judges it."""
    judges = {item.classifier: item.suite for item in reversed(run.items)}
    trained = [card for card in run.classifiers if card.trainings]
    by_suite = grouped(
        (judges.get(card.alias), (f"training-{number}", card))
        for number, card in enumerate(trained, 1)
    )
    titles: dict[str | None, str] = {suite.path: suite.title for suite in run.suites}
    return tuple(
        Lesson(titles.get(suite, suite or "Judged by no check"), tuple(_courses(cards, colours)))
        for suite, cards in by_suite.items()
    )


def _courses(
    cards: Sequence[tuple[str, Classifier]], colours: Mapping[str, str]
) -> Iterator[Course]:
    trainings = [training for _, card in cards for training in card.trainings]
    # A loss on its way to infinity would leave nothing to see of the others: it leaves the frame.
    settled = [training for training in trainings if training.diverged is None]
    up, across = plots.scale([_losses(settled or trainings)]), plots.width([_losses(trainings)])
    for anchor, card in cards:
        loss = _losses(card.trainings, stops=card.recipe.get("early_stopping") is not None)
        frames = [plots.frame([(card.alias, loss)], colours, up, across)]
        frames += _units(card, colours, across)
        yield Course(
            anchor=anchor,
            classifier=card.alias,
            colour=colours[card.alias],
            network=card.network,
            facts=(
                *_summary(card.trainings),
                *facts({k: v for k, v in card.recipe.items() if k != "data"}),
            ),
            outcomes=tuple(map(_outcome, card.trainings)),
            frames=tuple(replace(frame, classifier=None) for frame in frames),  # the heading's
            grid=_grid(card, colours[card.alias]),
        )


def _summary(trainings: Sequence[Training]) -> Iterator[tuple[str, str]]:
    """Yield what the trainings came to, and on what they were made."""
    ends = [
        (len(trainings), "seed"),
        (sum(training.diverged is not None for training in trainings), "diverged"),
        (sum(training.stopped_early for training in trainings), "stopped early"),
        (sum(training.cached for training in trainings), "found in the cache"),
    ]
    seconds = rounding.seconds(sum(training.seconds for training in trainings))
    words = [plural(n, word, word if rank else None) for rank, (n, word) in enumerate(ends) if n]
    yield "result", f"{', '.join(words)}; {seconds} of training"
    accuracies = [epoch.validation_accuracy for epoch in map(_returned, trainings)]
    measured = [share for share in accuracies if share is not None]
    if measured:
        middle, low, high = (
            rounding.fixed(of(measured), 3) for of in (statistics.median, min, max)
        )
        seeds = plural(len(measured), "seed")
        yield "validation accuracy", f"{middle} (median of {seeds}, {low} to {high})"
    for data, train, validation in dict.fromkeys(
        (training.data, training.train_images, training.validation_images) for training in trainings
    ):
        yield "data", f"{data}: {train:,} images, validated on {validation:,} others"


def _returned(training: Training) -> Epoch:
    return next((e for e in training.epochs if e.epoch == training.returned_epoch), _NONE)


def _losses(trainings: Sequence[Training], *, stops: bool = False) -> Plot:
    returned = dict.fromkeys(training.returned_epoch for training in trainings) if stops else {}
    return Plot(
        title="Loss",
        x_label="epoch",
        y_label="cross-entropy in nats",
        lines=(
            *_lines(trainings, "training", lambda epoch: epoch.train_loss),
            *_lines(trainings, "validation", lambda epoch: epoch.validation_loss),
        ),
        marks=tuple(Mark(x=x, label="weights returned") for x in returned if x is not None),
    )


def _units(card: Classifier, colours: Mapping[str, str], across: Scale) -> Iterator[Frame]:
    """Yield the shares of dead units, or of saturated ones where nothing can die."""
    epochs = [epoch for training in card.trainings for epoch in training.epochs]
    dying = any(epoch.dead_fraction is not None for epoch in epochs)
    if dying:
        died, revived = sum(epoch.died for epoch in epochs), sum(epoch.revived for epoch in epochs)
        about = f"Over all seeds and epochs {plural(died, 'unit')} died and {revived:,} revived."
        title, y_label = "Dead units", "share of rectified units"
        lines = _lines(card.trainings, "dead", lambda epoch: epoch.dead_fraction)
    elif any(epoch.saturated_fraction is not None for epoch in epochs):
        title, about, y_label = "Saturated activations", "", "share of activations"
        lines = _lines(card.trainings, "saturated", lambda epoch: epoch.saturated_fraction)
    else:
        return
    plot = Plot(title=title, about=about, x_label="epoch", y_label=y_label, lines=lines, share=True)
    frame = plots.frame([(card.alias, plot)], colours, across=across)
    yield _with_changes(frame, card.trainings) if dying else frame


def _grid(card: Classifier, colour: str) -> Grid | None:
    """Return where units died: nothing for a network without rectifiers, or of one alone."""
    shares = grouped(
        ((layer, epoch.epoch), dead)
        for training in card.trainings
        for epoch in training.epochs
        for layer, dead in epoch.dead_by_layer.items()
    )
    layers, heads = dict.fromkeys(layer for layer, _ in shares), sorted({e for _, e in shares})
    if len(layers) < 2:
        return None
    means = {key: statistics.fmean(dead) for key, dead in shares.items()}
    rows = tuple((layer, tuple(means.get((layer, e)) for e in heads)) for layer in layers)
    seeds = len(card.trainings)
    return Grid(
        title="Dead units by layer",
        about="Share of a layer's rectified units that are never above 0 on the validation images"
        + (f", mean over {seeds} seeds." if seeds > 1 else "."),
        colour=colour,
        x_label="epoch",
        heads=tuple(map(str, heads)),
        rows=rows,
    )


def _lines(
    trainings: Sequence[Training], name: str, value: Callable[[Epoch], float | None]
) -> tuple[Line, ...]:
    return tuple(
        Line(
            name=name,
            seed=training.seed,
            x=tuple(float(epoch.epoch) for epoch in training.epochs),
            y=tuple(map(value, training.epochs)),
        )
        for training in trainings
    )


def _with_changes(frame: Frame, trainings: Sequence[Training]) -> Frame:
    """Write next to each share how many units died and revived since the epoch before."""
    columns = []
    for column, training in zip(frame.columns, trainings, strict=True):
        changes = {
            rounding.written(e.epoch): f" +{e.died} \N{MINUS SIGN}{e.revived}"
            for e in training.epochs
        }
        cells = zip(frame.heads, column.cells, strict=True)
        changed = tuple(cell and cell + changes.get(head, "") for head, cell in cells)
        columns.append(replace(column, cells=changed))
    return replace(frame, columns=tuple(columns))


def _outcome(training: Training) -> SeedOutcome:
    returned = _returned(training)
    last = training.epochs[-1].epoch if training.epochs else 0
    ended = f"stopped early after epoch {last}" if training.stopped_early else f"{last} epochs"
    return SeedOutcome(
        seed=training.seed,
        ended=ended if training.diverged is None else f"diverged: {training.diverged}",
        returned="none" if training.returned_epoch is None else f"epoch {training.returned_epoch}",
        train_loss=_brief(returned.train_loss),
        validation_loss=_brief(returned.validation_loss),
        train_accuracy=_brief(returned.train_accuracy),
        validation_accuracy=_brief(returned.validation_accuracy),
        small_weights=_brief(training.small_weight_fraction),
        seconds=rounding.seconds(training.seconds) + (", cached" if training.cached else ""),
    )


def _brief(number: float | None) -> str:
    return "none" if number is None else rounding.brief(number)
