"""Dry run: which stored series other rules would decide differently."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.domain.series import StoredSeries
from node.jobs.shadows import is_segmentation
from node.jobs.stored_facts import facts_of
from node.routing.dry_run import RuleChange, compare
from node.routing.rule_matching import decide
from node.routing.rules import Rule
from node.store import Store

# A header takes some milliseconds to read, and a person waits for the answer.
MAX_SERIES = 1000


@dataclass(frozen=True)
class SeriesChange:
    """A series on which the proposed rules decide differently; `rules` match it then."""

    series: StoredSeries
    changes: tuple[RuleChange, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True)
class DryRun:
    """The result of a dry run.

    `examined` series were compared. `without_images` could not be, because retention has deleted
    their images. `left_out` are older ones, beyond the limit.
    """

    days: float
    examined: int
    without_images: int
    left_out: int
    changed: tuple[SeriesChange, ...]


def dry_run(
    store: Store,
    current: Sequence[Rule],
    proposed: Sequence[Rule],
    now: datetime,
    *,
    days: float,
    max_series: int = MAX_SERIES,
) -> DryRun:
    """Compares the rules on the series whose last image arrived in the last `days`, newest first.

    Changes nothing. A series that no rule matched is compared as well.

    Raises:
        Transient: the images cannot be read for now.
    """
    since = now - timedelta(days=days)
    changed, examined, without_images = [], 0, 0
    for series in store.series_received_since(since, max_series):
        instances = store.instances_of(series.series_instance_uid)
        if not instances:
            without_images += 1
            continue
        if is_segmentation(instances):  # no rule decides about it
            continue
        examined += 1
        facts = facts_of(store, series, instances)
        after = decide(proposed, facts)
        if changes := compare(decide(current, facts), after):
            changed.append(SeriesChange(series, changes, after.rules))
    left_out = max(0, store.count_series_received_since(since) - max_series)
    return DryRun(days, examined, without_images, left_out, tuple(changed))


def describe(result: DryRun) -> str:
    """Describes a dry run in plain text: a line for each series that changes, then its rules."""
    lines = []
    for change in result.changed:
        uid, count = change.series.series_instance_uid, change.series.instance_count
        images = "1 image" if count == 1 else f"{count} images"
        lines.append(f"Series {uid}, {images} from {change.series.origin}:")
        lines += [f"  Rule {each.rule!r} {each.text}." for each in change.changes]
        if not change.rules:
            lines.append("  No rule matches it then, so it would be ignored.")
    lines.append(summary(result))
    return "\n".join(lines)


def summary(result: DryRun) -> str:
    """Says in one or a few sentences how many series change."""
    sentences = [
        f"{len(result.changed)} of {result.examined} series of the last {result.days:g} days would "
        "be decided differently."
    ]
    if result.without_images:
        sentences.append(
            f"Not compared, because their images are deleted: {result.without_images}."
        )
    if result.left_out:
        sentences.append(f"Older ones that were left out: {result.left_out}.")
    return " ".join(sentences)
