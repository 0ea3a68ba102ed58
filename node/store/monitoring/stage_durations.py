"""Histograms of the time that each stage of a job takes, by model."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select, update

from node.store.monitoring.tables import STAGE_DURATIONS
from node.store.repository import Repository

# Upper bounds in seconds, from a fast step on a GPU to a delivery after a night's outage. Stored
# counts depend on them.
BUCKETS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 36000.0)


@dataclass(frozen=True)
class StageHistogram:
    """Durations of one stage of one model.

    `bucket_counts` are per bucket of `BUCKETS_S`, not cumulative; the last counts longer ones.
    """

    model_id: str
    stage: str
    count: int
    sum_s: float
    bucket_counts: tuple[int, ...]


class StageDurations(Repository):
    """The durations of all jobs so far; they survive restarts and deleted results."""

    def add_stage_durations(self, model_id: str, timings_s: Mapping[str, float]) -> None:
        """Adds the durations of one job, by stage."""
        with self._database.writing() as connection:
            for stage, duration_s in sorted(timings_s.items()):  # one order, so no deadlock
                empty = {"count": 0, "sum_s": 0.0, "bucket_counts": [0] * (len(BUCKETS_S) + 1)}
                connection.execute(
                    self._database.insert(STAGE_DURATIONS)
                    .values(empty | {"model_id": model_id, "stage": stage})
                    .on_conflict_do_nothing()
                )
                this = (STAGE_DURATIONS.c.model_id == model_id, STAGE_DURATIONS.c.stage == stage)
                row = connection.execute(
                    select(STAGE_DURATIONS).where(*this).with_for_update()
                ).one()
                counts = list(row.bucket_counts)
                counts[bisect_left(BUCKETS_S, duration_s)] += 1
                connection.execute(
                    update(STAGE_DURATIONS)
                    .where(*this)
                    .values(
                        count=STAGE_DURATIONS.c.count + 1,
                        sum_s=row.sum_s + duration_s,
                        bucket_counts=counts,
                    )
                )

    def stage_durations(self) -> list[StageHistogram]:
        """Returns the histogram of every model and stage."""
        query = select(STAGE_DURATIONS).order_by(
            STAGE_DURATIONS.c.model_id, STAGE_DURATIONS.c.stage
        )
        with self._database.reading() as connection:
            return [
                StageHistogram(
                    # A row's own attribute `count` is the method of tuples.
                    row.model_id,
                    row.stage,
                    row._mapping["count"],
                    row.sum_s,
                    tuple(row.bucket_counts),
                )
                for row in connection.execute(query)
            ]
