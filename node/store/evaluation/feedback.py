"""Segmentations that people stored, and their comparison with the node's results."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exists, or_, select, update

from node.domain.evaluation.feedback import Feedback, FeedbackComparison, FeedbackState
from node.domain.identifiers import Uid
from node.store.evaluation.tables import FEEDBACK
from node.store.repository import Repository
from node.store.schema import JOBS


class FeedbackRepository(Repository):
    """The received segmentations that may be feedback."""

    def add_feedback(self, received: Iterable[Feedback]) -> None:
        """Adds the segmentations; one that exists stays unchanged."""
        rows = [_row(each) for each in received]
        if not rows:
            return
        with self._database.writing() as connection:
            for row in rows:
                connection.execute(
                    self._database.insert(FEEDBACK).values(row).on_conflict_do_nothing()
                )

    def feedback(self, state: FeedbackState | None = None, limit: int = 1000) -> list[Feedback]:
        """Returns the latest segmentations, newest first; optionally of one state."""
        query = (
            select(FEEDBACK)
            .order_by(FEEDBACK.c.received_at.desc(), FEEDBACK.c.sop_instance_uid)
            .limit(limit)
        )
        if state is not None:
            query = query.where(FEEDBACK.c.state == state)
        with self._database.reading() as connection:
            return [_feedback(row) for row in connection.execute(query)]

    def feedback_to_compare(self, limit: int = 100) -> list[Feedback]:
        """Returns WAITING segmentations that are not read yet or whose images have a result.

        The oldest come first. One that waits for a result holds up no other.
        """
        has_result = exists().where(
            JOBS.c.series_instance_uid == FEEDBACK.c.source_series_instance_uid,
            JOBS.c.result_path.is_not(None),
        )
        query = (
            select(FEEDBACK)
            .where(
                FEEDBACK.c.state == FeedbackState.WAITING,
                or_(FEEDBACK.c.source_series_instance_uid.is_(None), has_result),
            )
            .order_by(FEEDBACK.c.received_at, FEEDBACK.c.sop_instance_uid)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_feedback(row) for row in connection.execute(query)]

    def remove_waiting_feedback(self, before: datetime) -> None:
        """Removes WAITING segmentations that were received before that time."""
        with self._database.writing() as connection:
            connection.execute(
                delete(FEEDBACK).where(
                    FEEDBACK.c.state == FeedbackState.WAITING, FEEDBACK.c.received_at < before
                )
            )

    def feedback_of_series(self, series_uid: str) -> list[Feedback]:
        """Returns the segmentations in a series or of its images, newest first."""
        query = (
            select(FEEDBACK)
            .where(
                or_(
                    FEEDBACK.c.series_instance_uid == series_uid,
                    FEEDBACK.c.source_series_instance_uid == series_uid,
                )
            )
            .order_by(FEEDBACK.c.received_at.desc(), FEEDBACK.c.sop_instance_uid)
        )
        with self._database.reading() as connection:
            return [_feedback(row) for row in connection.execute(query)]

    def record_feedback(self, changed: Feedback) -> None:
        """Stores the state and outcome of a comparison."""
        with self._database.writing() as connection:
            connection.execute(
                update(FEEDBACK)
                .where(FEEDBACK.c.sop_instance_uid == changed.sop_instance_uid)
                .values(_row(changed))
            )

    def remove_feedback(self, sop_instance_uid: str) -> None:
        """Removes a segmentation that is no feedback."""
        with self._database.writing() as connection:
            connection.execute(
                delete(FEEDBACK).where(FEEDBACK.c.sop_instance_uid == sop_instance_uid)
            )


def _row(each: Feedback) -> dict[str, object]:
    row = asdict(each)
    row["comparisons"] = list(row["comparisons"])
    return row


def _feedback(row: Row[Any]) -> Feedback:
    source = row.source_series_instance_uid
    received_at: datetime = row.received_at
    return Feedback(
        sop_instance_uid=Uid(row.sop_instance_uid),
        series_instance_uid=Uid(row.series_instance_uid),
        study_instance_uid=Uid(row.study_instance_uid),
        sender=row.sender,
        state=FeedbackState(row.state),
        received_at=received_at,
        updated_at=row.updated_at,
        reason=row.reason,
        source_series_instance_uid=None if source is None else Uid(source),
        comparisons=tuple(FeedbackComparison.from_json(each) for each in row.comparisons),
    )
