"""Series of which images are missing: they were refused, or are still being retrieved."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select
from sqlalchemy.engine import Connection

from node.domain.identifiers import Uid
from node.domain.incomplete_series import IncompleteSeries, RefusedImage
from node.domain.instance import Origin
from node.domain.series import SeriesState
from node.store.history import append_event
from node.store.received.tables import REFUSED_IMAGES
from node.store.repository import Repository
from node.store.schema import INSTANCES, RETRIEVALS, SERIES

# A sender that does not send an image again within this time never will.
KEPT = timedelta(days=30)
# A sender that is refused everything must not fill the disk.
MAX_REFUSED_IMAGES = 200_000
_UNCOUNTED = ""
_R = REFUSED_IMAGES.c
_OWN, _NEXT = SERIES.alias("own"), SERIES.alias("next")
# The image has arrived after all. As to uncounted ones, the sender has come back: it continues with
# what it could not send.
_HAS_ARRIVED: ColumnElement[bool] = or_(
    exists().where(
        INSTANCES.c.sop_instance_uid == _R.sop_instance_uid,
        INSTANCES.c.series_instance_uid == _R.series_instance_uid,
    ),
    and_(
        _R.sop_instance_uid == _UNCOUNTED,
        exists().where(
            _OWN.c.series_instance_uid == _R.series_instance_uid,
            _NEXT.c.origin == _OWN.c.origin,
            _NEXT.c.last_received_at > _R.refused_at,
        ),
    ),
)


class IncompleteSeriesRepository(Repository):
    """What is known about missing images. A series without them is not complete."""

    def record_refused_images(self, images: Iterable[RefusedImage]) -> None:
        """Records images that are refused; durable on return.

        The first of a series appears in its history.
        """
        with self._database.writing_soon() as connection:
            for image in images:
                self._record_refused(connection, image)

    def record_refused_sender(self, origin: Origin, reason: str, now: datetime) -> None:
        """Records that a sender was turned away: what it sends may continue a series.

        This concerns the series of the sender that receive images at the time.
        """
        query = select(SERIES.c.series_instance_uid).where(
            SERIES.c.state == SeriesState.RECEIVING, SERIES.c.origin == origin.text
        )
        with self._database.reading() as connection:
            uids = connection.execute(query).scalars().all()
        if not uids:
            return
        with self._database.writing_soon() as connection:
            for uid in uids:
                self._record_refused(connection, RefusedImage(Uid(uid), None, reason, now))

    def incomplete_series(
        self, series_uids: Collection[str] | None = None
    ) -> dict[Uid, IncompleteSeries]:
        """Returns the known series of which images are missing; of all, or of those named."""
        with self._database.reading() as connection:
            return incomplete_in(connection, series_uids)

    def forget_refused_images(self, now: datetime) -> None:
        """Deletes the rows that are older than `KEPT`, and the oldest above the limit."""
        newest = select(_R.refused_at).order_by(_R.refused_at.desc())
        with self._database.writing() as connection:
            excess = newest.offset(MAX_REFUSED_IMAGES).limit(1)
            oldest_kept = connection.execute(excess).scalar_one_or_none()
            before = now - KEPT if oldest_kept is None else max(now - KEPT, oldest_kept)
            connection.execute(delete(REFUSED_IMAGES).where(_R.refused_at < before))

    def _record_refused(self, connection: Connection, image: RefusedImage) -> None:
        uid = image.series_instance_uid
        is_first = ~exists().where(_R.series_instance_uid == uid)
        if connection.execute(select(is_first)).scalar_one():
            append_event(connection, image.refused_at, uid, "series.images_refused", image.reason)
        insert = self._database.insert(REFUSED_IMAGES).values(
            series_instance_uid=uid,
            sop_instance_uid=image.sop_instance_uid or _UNCOUNTED,
            reason=image.reason,
            refused_at=image.refused_at,
        )
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["series_instance_uid", "sop_instance_uid"],
                set_={"reason": insert.excluded.reason, "refused_at": insert.excluded.refused_at},
            )
        )


def incomplete_in(
    connection: Connection, series_uids: Collection[str] | None = None
) -> dict[Uid, IncompleteSeries]:
    """Returns the known series of which images are missing; of all, or of those named."""
    retrieved = [
        IncompleteSeries(
            Uid(row.series_instance_uid),
            since=row.requested_at,
            reason=row.error,
            source=row.source,
            is_over=row.finished_at is not None,
        )
        for row in connection.execute(_retrievals(series_uids))
    ]
    refused = [
        IncompleteSeries(
            Uid(row.series_instance_uid), since=row.since, reason=row.reason, refused=row.refused
        )
        for row in connection.execute(_refused(series_uids))
    ]
    return {each.series_instance_uid: each for each in (*retrieved, *refused)}


def settle_refused_images(
    connection: Connection, series_uid: str, now: datetime, *, started_by_hand: bool
) -> None:
    """Forgets, with the decision about a series, the refused images that no longer matter.

    Those are the images that have arrived, and all of them if a person has started the series.
    """
    of_series = _R.series_instance_uid == series_uid
    missing = select(func.count()).select_from(REFUSED_IMAGES).where(of_series, ~_HAS_ARRIVED)
    if started_by_hand and (count := connection.execute(missing).scalar_one()):
        append_event(connection, now, series_uid, "series.started_incomplete", f"{count} refused")
    settled = of_series if started_by_hand else and_(of_series, _HAS_ARRIVED)
    connection.execute(delete(REFUSED_IMAGES).where(settled))


def _refused(series_uids: Collection[str] | None) -> Select[tuple[str, int, datetime, str]]:
    query = (
        select(
            _R.series_instance_uid,
            func.count().filter(_R.sop_instance_uid != _UNCOUNTED).label("refused"),
            func.min(_R.refused_at).label("since"),
            func.max(_R.reason).label("reason"),
        )
        .join(SERIES, SERIES.c.series_instance_uid == _R.series_instance_uid)
        .where(SERIES.c.instance_count > 0, ~_HAS_ARRIVED)
        .group_by(_R.series_instance_uid)
    )
    return query if series_uids is None else query.where(_R.series_instance_uid.in_(series_uids))


def _retrievals(
    series_uids: Collection[str] | None,
) -> Select[tuple[str, str, str, datetime, datetime | None]]:
    """Returns the retrievals that have brought a part of a series, and not the rest.

    An image that arrives after the end of a retrieval comes from elsewhere.
    """
    later = RETRIEVALS.alias("later")
    succeeded_later = exists().where(
        later.c.series_instance_uid == RETRIEVALS.c.series_instance_uid,
        later.c.retrieval_id > RETRIEVALS.c.retrieval_id,
        later.c.finished_at.is_not(None),
        later.c.error == "",
    )
    query = (
        select(
            RETRIEVALS.c.series_instance_uid,
            RETRIEVALS.c.source,
            RETRIEVALS.c.error,
            RETRIEVALS.c.requested_at,
            RETRIEVALS.c.finished_at,
        )
        .join(SERIES, SERIES.c.series_instance_uid == RETRIEVALS.c.series_instance_uid)
        .where(
            SERIES.c.state == SeriesState.RECEIVING,
            RETRIEVALS.c.requested_at <= SERIES.c.last_received_at,
            or_(
                RETRIEVALS.c.finished_at.is_(None),
                and_(
                    RETRIEVALS.c.finished_at >= SERIES.c.last_received_at,
                    RETRIEVALS.c.error != "",
                ),
            ),
            ~succeeded_later,
        )
        .order_by(RETRIEVALS.c.retrieval_id)
    )
    if series_uids is None:
        return query
    return query.where(RETRIEVALS.c.series_instance_uid.in_(series_uids))
