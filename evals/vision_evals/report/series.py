"""Checkpoints of one training: each metric over their place in it, such as the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vision_evals.log import Classifier, Item, Mark, Metric, Plot, Run
from vision_evals.report import lines, plots
from vision_evals.report.groups import grouped
from vision_evals.report.lines import At
from vision_evals.report.plots import DASHES, Frame


@dataclass(frozen=True, slots=True)
class SeriesTrend:
    """One check of one suite over the series that it judged."""

    suite: str
    check: str
    judged: tuple[Frame, ...]
    """Metrics that an expectation is about; all of them where there is none."""
    further: tuple[Frame, ...]
    """The other metrics."""
    absent: tuple[str, ...]
    """Members without a number, and why."""


def trends(run: Run, colours: Mapping[str, str]) -> tuple[SeriesTrend, ...]:
    """Return the checks that judged a series of two checkpoints or more."""
    by_series = grouped(
        (card.series, card)
        for card in run.classifiers
        if card.series is not None and card.place is not None
    )
    series = {n: sorted(cards, key=_place) for n, cards in by_series.items() if len(cards) > 1}
    titles = {suite.path: suite.title for suite in run.suites}
    all_trends = []
    for path, check in dict.fromkeys((item.suite, item.check) for item in run.items):
        items = {i.classifier: i for i in run.items if (i.suite, i.check) == (path, check)}
        members_of = {
            name: [(_place(card), items[card.alias]) for card in cards if card.alias in items]
            for name, cards in series.items()
        }
        members_of = {name: members for name, members in members_of.items() if len(members) > 1}
        if members_of:
            placed = {card.alias: card.epoch for cards in series.values() for card in cards}
            epochs = [placed[i.classifier] for pairs in members_of.values() for _, i in pairs]
            label = "place in the series" if None in epochs else "epoch"
            all_trends.append(_trend(titles.get(path, path), check, members_of, label, colours))
    return tuple(all_trends)


_Members = Sequence[tuple[float, Item]]


def _place(card: Classifier) -> float:
    return card.place or 0.0


def _trend(
    suite: str,
    check: str,
    series: Mapping[str, _Members],
    label: str,
    colours: Mapping[str, str],
) -> SeriesTrend:
    items = [item for members in series.values() for _, item in members]
    metrics: dict[str, Metric] = {}
    for metric in (metric for item in items for metric in item.metrics):
        metrics.setdefault(metric.name, metric)
    held = {judgement.metric for item in items for judgement in item.judgements}
    # a series has the colour of its first checkpoint, which no other network has
    colours = {name: colours[members[0][1].classifier] for name, members in series.items()}
    frames = {n: tuple(_frames(m, series, label, colours)) for n, m in metrics.items()}
    judged = [n for n in frames if n in held or not held]
    return SeriesTrend(
        suite=suite,
        check=check,
        judged=tuple(frame for name in judged for frame in frames[name]),
        further=tuple(
            f for name, metric_frames in frames.items() if name not in judged for f in metric_frames
        ),
        absent=tuple(map(_absent, (item for item in items if not item.metrics))),
    )


def _absent(item: Item) -> str:
    alias = f"{item.classifier}: "
    return item.sentence if item.sentence.startswith(alias) else alias + item.sentence


def _frames(
    metric: Metric, series: Mapping[str, _Members], label: str, colours: Mapping[str, str]
) -> Iterator[Frame]:
    """Yield the frame of a metric that some series has at two places at least.

    Of several series each point of the metric's axis has a frame: more lines are hard to follow.
    """
    items = [item for members in series.values() for _, item in members]
    ats = list(dict.fromkeys(m.at for item in items for m in item.metrics if m.name == metric.name))
    drawn_points = _spread_points(ats)
    remark = f"Drawn at {len(drawn_points)} of {len(ats)} points of its axis."
    remarks = [remark] if len(drawn_points) < len(ats) else []
    for together in [drawn_points] if len(series) == 1 else [[at] for at in drawn_points]:
        measured = (m for i in items for m in i.metrics if m.name == metric.name)
        texts = [*lines.grounds(m for m in measured if m.at in together), *remarks]
        drawn = [(n, _plot(metric, together, m, label, texts)) for n, m in series.items()]
        drawn = [(name, plot) for name, plot in drawn if plot.lines]
        if any(lines.count_values(line) > 1 for _, plot in drawn for line in plot.lines):
            if len(drawn) == 1:
                drawn = [(name, _with_best(plot, metric)) for name, plot in drawn]
            yield plots.frame(drawn, colours)


def _plot(
    metric: Metric,
    ats: Sequence[str | None],
    members: _Members,
    label: str,
    remarks: Sequence[str],
) -> Plot:
    drawn = [
        lines.line(
            metric.name if at is None else f"at {at}",
            [(place, _metric_at(item, (metric.name, at))) for place, item in members],
        )
        for at in ats
    ]
    return lines.plot(metric, ats[0] if len(ats) == 1 else None, drawn, label, remarks)


def _metric_at(item: Item, key: At) -> Metric | None:
    return next((metric for metric in item.metrics if (metric.name, metric.at) == key), None)


def _with_best(plot: Plot, metric: Metric) -> Plot:
    """Mark the first of the best values of a single line; nothing where all are equal."""
    if len(plot.lines) > 1:
        return plot
    (line,) = plot.lines
    sign = 1 if metric.higher_is_better else -1
    values = [(sign * y, -x) for x, y in zip(line.x, line.y, strict=True) if y is not None]
    if len({y for y, _ in values}) < 2:
        return plot
    warning = "The best of several looks better than it is: confirm it on other images."
    mark = Mark(x=-max(values)[1], label="best")
    return plot.model_copy(update={"marks": (mark,), "about": f"{plot.about} {warning}".strip()})


def _spread_points(ats: Sequence[str | None]) -> list[str | None]:
    """Return as many points of an axis as dashes can tell apart, first and last among them."""
    most = DASHES
    if len(ats) <= most:
        return list(ats)
    return [ats[round(rank * (len(ats) - 1) / (most - 1))] for rank in range(most)]
