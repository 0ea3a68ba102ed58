"""The work items that the node claims and performs, and the series that they name."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, exists, insert, select, update
from sqlalchemy.engine import Connection

from node.domain.identifiers import Uid
from node.domain.worklists.codes import Code
from node.domain.worklists.work_item import FINAL_STATES, WorkItem, WorkItemInput, WorkItemState
from node.store.history import append_event
from node.store.received.retrievals import add_own_retrieval
from node.store.repository import Repository
from node.store.worklists.tables import WORK_ITEM_INPUTS, WORK_ITEMS

# A series that was requested stays so after its work item is completed, for reruns and late images.
_REQUESTING = (WorkItemState.PERFORMING, WorkItemState.COMPLETING, WorkItemState.COMPLETED)
_OPEN = [state for state in WorkItemState if state not in FINAL_STATES]


class WorkItems(Repository):
    """One row for each work item that the node ever claimed or tried to claim.

    The row with its Transaction UID exists before the claim is sent, and it is the only one: all
    workers of a site claim with the same Transaction UID. A state changes only from the state that
    its reader has seen, so that two workers never take the same step.
    """

    def add_work_item(
        self,
        worklist: str,
        uid: Uid,
        now: datetime,
        *,
        transaction_uid: Uid,
        rule: str,
        code: Code | None,
    ) -> bool:
        """Adds a work item to claim; False, and nothing changes, if it was ever added."""
        row = {
            "worklist": worklist,
            "work_item_uid": uid,
            "transaction_uid": transaction_uid,
            "state": WorkItemState.CLAIMING,
            "rule": rule,
            "code": None if code is None else asdict(code),
            "reason": "",
            "progress": 0,
            "report": "",
            "attempts": 0,
            "error": "",
            "created_at": now,
            "updated_at": now,
        }
        with self._database.writing() as connection:
            added = connection.execute(
                self._database.insert(WORK_ITEMS)
                .values(row)
                .on_conflict_do_nothing()
                .returning(WORK_ITEMS.c.work_item_uid)
            ).first()
            if added is not None:
                detail = f"{worklist}: {code or 'no code'}, {rule or 'no rule'}"
                append_event(connection, now, uid, "work_item.claiming", detail)
        return added is not None

    def get_work_item(self, worklist: str, uid: str) -> WorkItem | None:
        """Returns one work item, or None if the node never tried to claim it."""
        query = select(WORK_ITEMS).where(
            WORK_ITEMS.c.worklist == worklist, WORK_ITEMS.c.work_item_uid == uid
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
            return None if row is None else _work_item(connection, row)

    def work_items_with_uid(self, uid: str) -> list[WorkItem]:
        """Returns the work items with that UID, of which each worklist has one at most."""
        query = select(WORK_ITEMS).where(WORK_ITEMS.c.work_item_uid == uid)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(WORK_ITEMS.c.worklist)).all()
            return [_work_item(connection, row) for row in rows]

    def open_work_items(self, worklist: str) -> list[WorkItem]:
        """Returns the work items of a worklist that have not ended, first found first."""
        query = (
            select(WORK_ITEMS)
            .where(WORK_ITEMS.c.worklist == worklist, WORK_ITEMS.c.state.in_(_OPEN))
            .order_by(WORK_ITEMS.c.created_at, WORK_ITEMS.c.work_item_uid)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            return [_work_item(connection, row) for row in rows]

    def list_work_items(self, limit: int = 100) -> list[WorkItem]:
        """Returns the latest work items of all worklists, newest first."""
        query = (
            select(WORK_ITEMS)
            .order_by(WORK_ITEMS.c.created_at.desc(), WORK_ITEMS.c.work_item_uid)
            .limit(limit)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            return [_work_item(connection, row) for row in rows]

    def requested_rules(self, series_uid: str) -> frozenset[str]:
        """Returns the rules that work items request for a series."""
        query = (
            select(WORK_ITEMS.c.rule)
            .join_from(
                WORK_ITEM_INPUTS,
                WORK_ITEMS,
                (WORK_ITEMS.c.worklist == WORK_ITEM_INPUTS.c.worklist)
                & (WORK_ITEMS.c.work_item_uid == WORK_ITEM_INPUTS.c.work_item_uid),
            )
            .where(
                WORK_ITEM_INPUTS.c.series_instance_uid == series_uid,
                WORK_ITEMS.c.state.in_(_REQUESTING),
            )
        )
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def change_work_item(
        self, item: WorkItem, state: WorkItemState, now: datetime, *, reason: str, report: str = ""
    ) -> bool:
        """Changes the state; False, and nothing changes, if another worker has changed it."""
        values: dict[str, object] = {"state": state, "reason": reason}
        if state is WorkItemState.CLAIMED:
            values["claimed_at"] = now
        if report:
            values["report"] = report
        with self._database.writing() as connection:
            return _change(connection, item, values, now)

    def start_performing(
        self, item: WorkItem, inputs: Sequence[WorkItemInput], now: datetime
    ) -> bool:
        """Stores the inputs of a claimed work item and requests their retrieval, at once.

        Returns False, and changes nothing, if another worker has done so.
        """
        values: dict[str, object] = {"state": WorkItemState.PERFORMING, "reason": ""}
        with self._database.writing() as connection:
            if not _change(connection, item, values, now):
                return False
            for each in inputs:
                retrieval_id = add_own_retrieval(
                    connection, each.source, each.study_instance_uid, each.series_instance_uid, now
                )
                connection.execute(
                    insert(WORK_ITEM_INPUTS).values(
                        worklist=item.worklist,
                        work_item_uid=item.work_item_uid,
                        series_instance_uid=each.series_instance_uid,
                        study_instance_uid=each.study_instance_uid,
                        sop_instance_uids=list(each.sop_instance_uids),
                        source=each.source,
                        retrieval_id=retrieval_id,
                    )
                )
        return True

    def record_progress(self, item: WorkItem, percent: int, waits_for: str, now: datetime) -> None:
        """Records what has been reported to the server."""
        self._set_work_item(
            item, progress=percent, reason=waits_for, attempts=0, error="", updated_at=now
        )

    def record_failed_work_item(self, item: WorkItem, error: str) -> None:
        """Records a failed attempt at the next step of a work item."""
        self._set_work_item(item, attempts=WORK_ITEMS.c.attempts + 1, error=error)

    def request_cancellation(
        self, worklist: str, uid: str, code: Code | None, now: datetime
    ) -> bool:
        """Records that somebody asks to cancel a work item; the first request counts.

        Returns False if the work item is unknown, has ended, or the request is known.
        """
        statement = (
            update(WORK_ITEMS)
            .where(
                WORK_ITEMS.c.worklist == worklist,
                WORK_ITEMS.c.work_item_uid == uid,
                WORK_ITEMS.c.state.not_in(FINAL_STATES),
                WORK_ITEMS.c.cancel_requested_at.is_(None),
            )
            .values(cancel_requested_at=now, cancel_code=None if code is None else asdict(code))
        )
        with self._database.writing() as connection:
            recorded = connection.execute(statement).rowcount == 1
            if recorded:
                detail = "" if code is None else str(code)
                append_event(connection, now, uid, "work_item.cancel_requested", detail)
        return recorded

    def is_requested_elsewhere(self, item: WorkItem, series_uid: str) -> bool:
        """Whether another work item requests the same rule for the series."""
        other = exists().where(
            WORK_ITEM_INPUTS.c.series_instance_uid == series_uid,
            WORK_ITEM_INPUTS.c.worklist == WORK_ITEMS.c.worklist,
            WORK_ITEM_INPUTS.c.work_item_uid == WORK_ITEMS.c.work_item_uid,
            WORK_ITEMS.c.state.in_(_REQUESTING),
            WORK_ITEMS.c.rule == item.rule,
            (WORK_ITEMS.c.worklist != item.worklist)
            | (WORK_ITEMS.c.work_item_uid != item.work_item_uid),
        )
        with self._database.reading() as connection:
            return bool(connection.execute(select(other)).scalar_one())

    def _set_work_item(self, item: WorkItem, **values: object) -> None:
        with self._database.writing() as connection:
            connection.execute(update(WORK_ITEMS).where(*_is(item)).values(values))


def _change(
    connection: Connection, item: WorkItem, values: dict[str, object], now: datetime
) -> bool:
    """Changes the state of a work item that is still in the state of `item`."""
    changes = values | {"updated_at": now, "attempts": 0, "error": ""}
    changed = connection.execute(update(WORK_ITEMS).where(*_is(item)).values(changes)).rowcount == 1
    if changed:
        name, reason = f"work_item.{values['state']}", str(values["reason"])
        append_event(connection, now, item.work_item_uid, name, reason)
    return changed


def _is(item: WorkItem) -> tuple[Any, ...]:
    return (
        WORK_ITEMS.c.worklist == item.worklist,
        WORK_ITEMS.c.work_item_uid == item.work_item_uid,
        WORK_ITEMS.c.state == item.state,
    )


def _work_item(connection: Connection, row: Row[Any]) -> WorkItem:
    inputs = connection.execute(
        select(WORK_ITEM_INPUTS)
        .where(
            WORK_ITEM_INPUTS.c.worklist == row.worklist,
            WORK_ITEM_INPUTS.c.work_item_uid == row.work_item_uid,
        )
        .order_by(WORK_ITEM_INPUTS.c.series_instance_uid)
    )
    return WorkItem(
        worklist=row.worklist,
        work_item_uid=Uid(row.work_item_uid),
        transaction_uid=Uid(row.transaction_uid),
        state=WorkItemState(row.state),
        rule=row.rule,
        code=_code(row.code),
        reason=row.reason,
        progress=row.progress,
        cancel_requested_at=row.cancel_requested_at,
        cancel_code=_code(row.cancel_code),
        report=row.report,
        attempts=row.attempts,
        error=row.error,
        created_at=row.created_at,
        claimed_at=row.claimed_at,
        updated_at=row.updated_at,
        inputs=tuple(
            WorkItemInput(
                Uid(each.study_instance_uid),
                Uid(each.series_instance_uid),
                tuple(Uid(uid) for uid in each.sop_instance_uids),
                each.source,
                each.retrieval_id,
            )
            for each in inputs
        ),
    )


def _code(stored: dict[str, str] | None) -> Code | None:
    return None if stored is None else Code(**stored)
