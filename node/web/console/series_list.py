"""The console's list of series: search, tabs with counts, pages, and rows by study."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from node.domain.listing.listed_states import ListedState
from node.settings import Settings
from node.store import Store
from node.store.search.searching import IndexedSeries, SearchCounts, SearchPage
from node.web.console.delivery_views import DeliveryView
from node.web.console.state_text import Tone
from node.web.console.views import JobView, SeriesView, series_view
from node.web.search_parameters import SearchParameters

_PATH = "/"
_TONES_BY_URGENCY = (Tone.ATTENTION, Tone.BUSY, Tone.REFUSED, Tone.DONE, Tone.QUIET)


class SeriesFilter(StrEnum):
    """A tab of the list."""

    ALL = "all"
    WORKING = "working"
    DELIVERED = "delivered"
    REFUSED = "refused"
    IGNORED = "ignored"
    DISCARDED = "discarded"
    ATTENTION = "attention"


_STATES: Mapping[SeriesFilter, frozenset[ListedState]] = {
    SeriesFilter.ALL: frozenset(),
    SeriesFilter.WORKING: frozenset({ListedState.RECEIVING, ListedState.WORKING}),
    SeriesFilter.DELIVERED: frozenset({ListedState.DELIVERED}),
    SeriesFilter.REFUSED: frozenset({ListedState.REFUSED}),
    SeriesFilter.IGNORED: frozenset({ListedState.IGNORED}),
    SeriesFilter.DISCARDED: frozenset({ListedState.DISCARDED}),
    SeriesFilter.ATTENTION: frozenset({ListedState.ATTENTION}),
}
TAB_NAMES: Mapping[SeriesFilter, str] = {
    SeriesFilter.ALL: "All",
    SeriesFilter.WORKING: "In progress",
    SeriesFilter.DELIVERED: "Delivered",
    SeriesFilter.REFUSED: "Refused",
    SeriesFilter.IGNORED: "Ignored",
    SeriesFilter.DISCARDED: "Discarded",
    SeriesFilter.ATTENTION: "Needs attention",
}


class ListParameters(SearchParameters):
    """The search and the tab that a page shows."""

    show: SeriesFilter = Field(SeriesFilter.ALL, description="Which series.")

    @property
    def is_search(self) -> bool:
        """Whether something is searched for."""
        return self.address(_PATH, show="", older="", newer="") != _PATH

    @property
    def uses_fields(self) -> bool:
        """Whether something is searched for in a field of its own."""
        return self.address(_PATH, show="", older="", newer="", q="") != _PATH

    @property
    def fragment_address(self) -> str:
        """The address of the part of the page that updates."""
        return self.address("/fragments/series", show=self._shown)

    def page_address(self, *, older: str = "", newer: str = "") -> str:
        """Returns the address of another page of the same tab."""
        return self.address(_PATH, show=self._shown, older=older, newer=newer)

    def tab_address(self, tab: SeriesFilter) -> str:
        """Returns the address of the first page of a tab, with the same search."""
        return self.address(_PATH, show=_shown(tab), older="", newer="")

    @property
    def _shown(self) -> str:
        return _shown(self.show)


def _shown(tab: SeriesFilter) -> str:
    return "" if tab is SeriesFilter.ALL else tab.value


@dataclass(frozen=True)
class Tab:
    """A tab with the number of series that it lists."""

    tab: SeriesFilter
    name: str
    count: int
    address: str


@dataclass(frozen=True)
class VolumeView:
    """The volume of an organ and the job that measured it."""

    job: JobView
    organ: str
    volume: str


@dataclass(frozen=True)
class SeriesRow:
    """A row of the list. The first volume is that of the model's main organ, its first label."""

    view: SeriesView
    indexed: IndexedSeries

    @property
    def volumes(self) -> tuple[VolumeView, ...]:
        """The volumes of all jobs that count."""
        return tuple(
            VolumeView(job, organ, volume)
            for job in self.view.current_jobs
            for organ, volume in job.volumes
        )

    @property
    def deliveries(self) -> tuple[tuple[JobView, DeliveryView], ...]:
        """The deliveries of all jobs that count, most urgent first."""
        found = [(job, one) for job in self.view.current_jobs for one in job.deliveries]
        return tuple(sorted(found, key=lambda pair: _TONES_BY_URGENCY.index(pair[1].state.tone)))


@dataclass(frozen=True)
class StudyRows:
    """The series of one study on a page, newest first; what the study shares is `first`."""

    study_instance_uid: str
    rows: tuple[SeriesRow, ...]

    @property
    def first(self) -> IndexedSeries:
        """The newest series, which stands for the study."""
        return self.rows[0].indexed

    @property
    def study_date(self) -> str:
        """The study date as 2026-01-31; as sent if it is no date, and empty if there is none."""
        date = self.first.study_date
        return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == len("20260131") else date

    @property
    def patient(self) -> str:
        """The patient's name and ID, where the site lets people search for patients."""
        name = self.first.patient_name.partition("=")[0].replace("^", " ").strip()
        return " · ".join(text for text in (name, self.first.patient_id) if text)


@dataclass(frozen=True)
class SeriesList:
    """One page of the list; `unindexed` series are not listed yet."""

    parameters: ListParameters
    tabs: tuple[Tab, ...]
    studies: tuple[StudyRows, ...]
    older_address: str
    newer_address: str
    unindexed: int

    @property
    def has_series(self) -> bool:
        """Whether the node has received anything that the search finds."""
        return self.tabs[0].count > 0


def load_series_list(
    settings: Settings, store: Store, parameters: ListParameters, limit: int
) -> SeriesList:
    """Returns one page of the list.

    Raises:
        Rejected: the page does not exist, or the site does not let people search for patients.
    """
    query = parameters.query(settings)
    counts = store.count_found(query)
    older_than, newer_than = parameters.older_than, parameters.newer_than
    page = SearchPage((), None, None)
    if _count(parameters.show, counts):
        page = store.search_series(
            query.in_states(_STATES[parameters.show]),
            older_than=older_than,
            newer_than=newer_than,
            limit=limit,
        )
    outcomes = store.outcomes_of([row.series_instance_uid for row in page.rows])
    views = {
        o.series.series_instance_uid: series_view(store, o, settings.destinations) for o in outcomes
    }
    rows = [
        SeriesRow(views[row.series_instance_uid], row)
        for row in page.rows
        if row.series_instance_uid in views
    ]
    return SeriesList(
        parameters=parameters,
        tabs=tuple(_tab(parameters, tab, counts) for tab in SeriesFilter),
        studies=_by_study(rows),
        older_address="" if page.older is None else parameters.page_address(older=str(page.older)),
        newer_address="" if page.newer is None else parameters.page_address(newer=str(page.newer)),
        unindexed=store.count_unindexed(),
    )


def _tab(parameters: ListParameters, tab: SeriesFilter, counts: SearchCounts) -> Tab:
    return Tab(tab, TAB_NAMES[tab], _count(tab, counts), parameters.tab_address(tab))


def _count(tab: SeriesFilter, counts: SearchCounts) -> int:
    return counts.total if tab is SeriesFilter.ALL else counts.of(_STATES[tab])


def _by_study(rows: list[SeriesRow]) -> tuple[StudyRows, ...]:
    """Groups the series of a page by study, in the order of their newest series."""
    studies: dict[str, list[SeriesRow]] = {}
    for row in rows:
        studies.setdefault(row.indexed.study_instance_uid, []).append(row)
    return tuple(StudyRows(uid, tuple(members)) for uid, members in studies.items())
