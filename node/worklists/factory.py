"""Builds the worklists that the settings name."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.domain.coding_schemes import LOCAL_SCHEME
from node.domain.identifiers import Uid
from node.domain.retry_policy import RetryPolicy
from node.domain.worklists.codes import Code
from node.settings import Settings
from node.settings.credentials.http_credentials import credentials_from
from node.settings.worklists import WorklistOptions
from node.store import Store
from node.worklists.cancel_events import CancelEvents
from node.worklists.final_report import FinalReports
from node.worklists.input_sources import InputSources
from node.worklists.outputs import archives_from
from node.worklists.performer import Performer
from node.worklists.subscriptions import Subscriptions
from node.worklists.ups_client import UpsServer
from node.worklists.worklist_search import WorklistFilter, WorklistSearch


@dataclass(frozen=True)
class Worklist:
    """The components of a worklist; without `events` nobody can ask to cancel."""

    search: WorklistSearch
    performer: Performer
    events: CancelEvents | None

    def poll_server(self) -> None:
        """Searches for new work items, and finds those that the server has ended."""
        if self.search.poll():
            self.performer.check_owned()


def worklists_from(
    settings: Settings, store: Store, now: Callable[[], datetime], policy: RetryPolicy
) -> Mapping[str, Worklist]:
    """Returns every worklist by its name.

    Raises:
        Misconfigured: the password or token of a worklist is missing.
    """
    return {name: _worklist(name, settings, store, now, policy) for name in settings.worklists}


def station_code(options: WorklistOptions, ae_title: str) -> Code:
    """Returns the code of the node as a station; by default its AE title in the local scheme."""
    scheme = options.station_scheme or LOCAL_SCHEME
    return Code(options.station or ae_title, scheme, "segnode")


def _worklist(
    name: str,
    settings: Settings,
    store: Store,
    now: Callable[[], datetime],
    policy: RetryPolicy,
) -> Worklist:
    options = settings.worklists[name]
    credentials = credentials_from(options, f"worklists.{name}")
    server = UpsServer(options.url.rstrip("/"), credentials, options.tls_files)
    ae_title = settings.listener.ae_title
    search = WorklistSearch(
        worklist=name,
        server=server,
        wanted=_filter(options),
        max_open=options.max_open,
        store=store,
        now=now,
        policy=policy,
        # Random: another installation of the node must not know it.
        new_transaction_uid=lambda: Uid(f"2.25.{uuid.uuid4().int}"),
    )
    performer = Performer(
        worklist=name,
        server=server,
        subscriptions=Subscriptions(name, server, ae_title, options.subscribe),
        sources=InputSources.of(settings, options.source),
        reports=FinalReports(store, station_code(options, ae_title), archives_from(settings)),
        rules={rule.name: rule for rule in settings.rules},
        store=store,
        now=now,
        policy=policy,
        give_up_after=timedelta(hours=options.give_up_after_hours),
    )
    events = None
    if options.subscribe:
        url = options.events_url.rstrip("/") or f"ws{server.url.removeprefix('http')}"
        events = CancelEvents(
            worklist=name,
            events_url=url,
            ae_title=ae_title,
            store=store,
            now=now,
            policy=policy,
            credentials=credentials,
            files=options.tls_files,
        )
    return Worklist(search, performer, events)


def _filter(options: WorklistOptions) -> WorklistFilter:
    return WorklistFilter(
        station=options.station or "",
        station_scheme=options.station_scheme or "",
        label=options.label or "",
        tasks={(task.code, task.scheme): task.rule for task in options.tasks},
    )
