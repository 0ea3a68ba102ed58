"""Chooses the source or peer from which each input series of a work item is retrieved."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from urllib.parse import urlsplit

from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid
from node.domain.worklists.work_item import WorkItemInput
from node.settings import Settings
from node.worklists.scheduled import ScheduledInput, ScheduledWorkItem


@dataclass(frozen=True)
class InputSources:
    """The sources of the configuration, by the addresses that work items use.

    The node retrieves from these alone: a work item cannot send it to any other address.
    `default` is the source of input without a known address; None: there is none.
    """

    by_web_root: Mapping[str, str]  # URL without a trailing slash -> name
    by_ae_title: Mapping[str, str]
    default: str | None

    @classmethod
    def of(cls, settings: Settings, default: str | None) -> "InputSources":
        """Returns the sources of the settings."""
        return cls(
            {source.url.rstrip("/"): name for name, source in settings.sources.items()},
            {
                peer.ae_title: name
                for name, peer in settings.peers.items()
                if peer.retrieve is not None
            },
            default,
        )

    def inputs_of(self, scheduled: ScheduledWorkItem) -> list[WorkItemInput]:
        """Returns the input series of a work item, each once, in the order of their UIDs.

        Raises:
            Rejected: it names no series, or one whose source or UID is unknown.
        """
        images = [one for one in scheduled.inputs if one.kind in {"", "DICOM"}]
        if not images:
            raise _rejected("the work item names no DICOM series as input")
        by_series = attrgetter("series_instance_uid")
        return [
            self._input(list(same))
            for _, same in groupby(sorted(images, key=by_series), key=by_series)
        ]

    def _input(self, items: list[ScheduledInput]) -> WorkItemInput:
        first = items[0]
        if not first.series_instance_uid or not first.study_instance_uid:
            raise _rejected("the work item names an input without Study and Series Instance UID")
        uids = {uid for one in items for uid in one.sop_instance_uids if uid}
        return WorkItemInput(
            Uid(first.study_instance_uid),
            Uid(first.series_instance_uid),
            tuple(sorted(map(Uid, uids))),
            self._source(items),
        )

    def _source(self, items: list[ScheduledInput]) -> str:
        urls = [url for one in items for url in one.retrieve_urls]
        titles = [title for one in items for title in one.ae_titles]
        for url in urls:
            for root, name in self.by_web_root.items():
                if url == root or url.startswith(f"{root}/"):
                    return name
        for title in titles:
            if title in self.by_ae_title:
                return self.by_ae_title[title]
        if self.default is not None:
            return self.default
        # The host is enough to correct the configuration, and cannot name a patient.
        hosts = [urlsplit(url).netloc for url in urls]
        named = ", ".join(dict.fromkeys(hosts + titles)) or "no place"
        raise _rejected(
            f"the work item names {named} to retrieve its input from, which is neither a source "
            "nor a peer with `retrieve` of this station's configuration"
        )


def _rejected(message: str) -> Rejected:
    return Rejected(RejectionReason.INVALID_INSTANCE, message)
