"""A query that runs at an interval and requests the series that the node does not have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from node.dicom.query import FoundSeries, SeriesQuery
from node.domain.identifiers import Uid
from node.domain.series import SeriesState
from node.retrieval.series_search import find_series, find_studies
from node.retrieval.sources import SearchableSource
from node.store import Store

_LOG = structlog.get_logger()
# Matches of one query. A large hospital makes some hundred CT studies a day.
_MAX_STUDIES = 5000


@dataclass
class ScheduledQuery:
    """Requests each new series of one modality once.

    A series is requested when two runs in a row find it with the same number of images, so that a
    study that is still being acquired or archived is left to grow. Each decision is durable: a
    series is requested again only if the source has more images of it than at the decision.
    """

    name: str
    source: SearchableSource
    modality: str
    lookback_days: int
    max_open_retrievals: int
    store: Store
    now: Callable[[], datetime]
    # The number of images of each undecided series in the previous run.
    _counts: dict[Uid, int | None] = field(default_factory=dict)
    # The number of images of each study whose series were all decided in an earlier run.
    _decided_studies: dict[Uid, int] = field(default_factory=dict)

    def run(self) -> None:
        """Queries the source and requests new series, up to the limit of open retrievals.

        Raises:
            Transient: the source does not answer, or refuses the query.
            TooManyMatches: more studies match than one query may find.
        """
        requested = waiting = 0
        counts: dict[Uid, int | None] = {}
        decided_studies: dict[Uid, int] = {}
        with self.source.searching() as find:
            query = SeriesQuery(study_date=self._study_date(), modality=self.modality)
            studies = find_studies(find, query, _MAX_STUDIES)
            for study in studies:
                uid, images = study.study_instance_uid, study.instance_count
                if images is not None and self._decided_studies.get(uid) == images:
                    decided_studies[uid] = images  # unchanged: spare the source the next query
                    continue
                series = find_series(find, query, study, _MAX_STUDIES)
                undecided, new = self._decide(series)
                requested += new
                waiting += len(undecided)
                counts |= {one.series_instance_uid: one.instance_count for one in undecided}
                # A source may list a study before it lists the study's series.
                if series and not undecided and images is not None:
                    decided_studies[uid] = images
        self._counts, self._decided_studies = counts, decided_studies
        _LOG.info(
            "query.finished",
            query=self.name,
            source=self.source.name,
            studies=len(studies),
            requested=requested,
            waiting=waiting,
        )

    def _decide(self, series: Sequence[FoundSeries]) -> tuple[list[FoundSeries], int]:
        """Returns the series that stay undecided, and the number requested."""
        decided = self.store.queried_counts(
            self.source.name, [one.series_instance_uid for one in series]
        )
        undecided, requested = [], 0
        for found in series:
            if found.series_instance_uid in decided and not _has_grown(
                found.instance_count, decided[found.series_instance_uid]
            ):
                continue
            if self._is_present(found):
                self.store.record_present_series(self.source.name, found, self.now())
            elif self._is_due(found):
                self._request(found)
                requested += 1
            else:
                undecided.append(found)
        return undecided, requested

    def _is_present(self, found: FoundSeries) -> bool:
        """Whether the node has, or had, every image; retention may have deleted them since."""
        stored = self.store.get_series(found.series_instance_uid)
        if stored is None:
            return False
        count = found.instance_count
        return count is None or stored.instance_count == 0 or stored.instance_count >= count

    def _is_due(self, found: FoundSeries) -> bool:
        """Whether to request the series now: it is complete, and the limit allows another."""
        uid = found.series_instance_uid
        if uid not in self._counts or self._counts[uid] != found.instance_count:
            return False
        stored = self.store.get_series(uid)
        if stored is not None and stored.state is SeriesState.RECEIVING:
            return False  # it arrives by another way at this moment
        return len(self.store.open_retrievals(self.source.name)) < self.max_open_retrievals

    def _request(self, found: FoundSeries) -> None:
        number = self.store.request_queried_series(self.source.name, found, self.now())
        _LOG.info(
            "query.series_requested",
            query=self.name,
            series=found.series_instance_uid,
            retrieval=number,
        )

    def _study_date(self) -> str:
        """The range of study dates, in the local time of the site (PS3.4 C.2.2.2.5.1)."""
        today = self.now().astimezone().date()
        first = today - timedelta(days=self.lookback_days)
        return f"{first:%Y%m%d}-{today:%Y%m%d}"


def _has_grown(count: int | None, decided: int | None) -> bool:
    return count is not None and decided is not None and count > decided
