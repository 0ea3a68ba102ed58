"""Shadow runs: candidates that run beside the active model, apart from the jobs.

They have a table of their own, so that nothing that lists, counts, holds, delivers or publishes
jobs ever includes one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select, update

from node.domain.evaluation.organ_agreement import OrganAgreement
from node.domain.evaluation.shadow_run import ShadowRun, ShadowState
from node.domain.identifiers import Uid
from node.store.evaluation.tables import SHADOW_RUNS
from node.store.repository import Repository


class ShadowRuns(Repository):
    """The shadow runs of all series."""

    def add_shadow_runs(self, runs: Iterable[ShadowRun]) -> None:
        """Adds the runs; one that exists stays unchanged."""
        rows = [self._shadow_row(run) for run in runs]
        if not rows:
            return
        with self._database.writing() as connection:
            for row in rows:
                connection.execute(
                    self._database.insert(SHADOW_RUNS).values(row).on_conflict_do_nothing()
                )

    def shadow_runs(
        self, state: ShadowState | None = None, limit: int = 1000, *, oldest_first: bool = False
    ) -> list[ShadowRun]:
        """Returns the latest runs, newest first, or the oldest ones; optionally of one state."""
        created = SHADOW_RUNS.c.created_at
        query = (
            select(SHADOW_RUNS)
            .order_by(created if oldest_first else created.desc(), SHADOW_RUNS.c.shadow_id)
            .limit(limit)
        )
        if state is not None:
            query = query.where(SHADOW_RUNS.c.state == state)
        with self._database.reading() as connection:
            return [self._shadow_run(row) for row in connection.execute(query)]

    def shadow_runs_of(self, series_uid: str) -> list[ShadowRun]:
        """Returns the runs of a series, newest first."""
        query = (
            select(SHADOW_RUNS)
            .where(SHADOW_RUNS.c.series_instance_uid == series_uid)
            .order_by(SHADOW_RUNS.c.created_at.desc(), SHADOW_RUNS.c.shadow_id)
        )
        with self._database.reading() as connection:
            return [self._shadow_run(row) for row in connection.execute(query)]

    def claim_shadow_run(self, run: ShadowRun, now: datetime) -> bool:
        """Marks the run as RUNNING; returns False if it has changed since it was read."""
        with self._database.writing() as connection:
            claimed = connection.execute(
                update(SHADOW_RUNS)
                .where(
                    SHADOW_RUNS.c.shadow_id == run.shadow_id,
                    SHADOW_RUNS.c.state == run.state,
                    SHADOW_RUNS.c.attempts == run.attempts,
                )
                .values(state=ShadowState.RUNNING, attempts=run.attempts + 1, updated_at=now)
                .returning(SHADOW_RUNS.c.shadow_id)
            ).first()
        return claimed is not None

    def record_shadow_run(self, run: ShadowRun) -> None:
        """Stores the state and outcome of a run."""
        with self._database.writing() as connection:
            connection.execute(
                update(SHADOW_RUNS)
                .where(SHADOW_RUNS.c.shadow_id == run.shadow_id)
                .values(self._shadow_row(run))
            )

    def _shadow_row(self, run: ShadowRun) -> dict[str, object]:
        return {
            "shadow_id": run.shadow_id,
            "job_id": run.job_id,
            "series_instance_uid": run.series_instance_uid,
            "active": run.active,
            "candidate": run.candidate,
            "state": run.state,
            "reason": run.reason,
            "attempts": run.attempts,
            "organs": [asdict(organ) for organ in run.organs],
            "active_s": run.active_s,
            "candidate_s": run.candidate_s,
            "result_path": self._to_row(run.result_path),
            "created_at": run.created_at,
            "updated_at": run.updated_at,
        }

    def _shadow_run(self, row: Row[Any]) -> ShadowRun:
        return ShadowRun(
            shadow_id=row.shadow_id,
            job_id=row.job_id,
            series_instance_uid=Uid(row.series_instance_uid),
            active=row.active,
            candidate=row.candidate,
            state=ShadowState(row.state),
            created_at=row.created_at,
            updated_at=row.updated_at,
            reason=row.reason,
            attempts=row.attempts,
            organs=tuple(OrganAgreement.from_json(organ) for organ in row.organs),
            active_s=row.active_s,
            candidate_s=row.candidate_s,
            result_path=self._from_row(row.result_path),
        )


def remove_shadow_results(
    connection: Connection, data_dir: Path, series_uid: str
) -> Sequence[Path]:
    """Removes the candidates' results of a series from their rows; returns the files."""
    of_series = SHADOW_RUNS.c.series_instance_uid == series_uid
    paths = connection.execute(select(SHADOW_RUNS.c.result_path).where(of_series)).scalars().all()
    connection.execute(update(SHADOW_RUNS).where(of_series).values(result_path=None))
    return [data_dir / path for path in paths if path]
