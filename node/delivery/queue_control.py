"""What console, REST API and command line do with the queues of a site."""

from dataclasses import dataclass
from datetime import datetime

from node.domain.queues.pause import DestinationQueue, Pause, Queue, QueueKind
from node.domain.queues.selection import (
    DeliveryChange,
    DeliveryName,
    DeliverySelection,
    Interface,
)
from node.domain.result_objects import ResultKind, ResultObject
from node.settings import Settings
from node.store import Store

MAX_REASON = 1000


class ImpossibleRequest(Exception):
    """The request fits no delivery or destination; the message says what to do instead."""


@dataclass(frozen=True)
class QueueControl:
    """Acts for the person `user` at an interface, at the time `now`."""

    settings: Settings
    store: Store
    by: Interface
    user: str
    now: datetime

    def destination_queues(self) -> tuple[DestinationQueue, ...]:
        """Returns the queue of each configured destination, and of others that hold something."""
        return self.store.destination_queues(self.settings.destinations)

    def retry(self, selection: DeliverySelection) -> list[DeliveryChange]:
        """Makes the selected deliveries due now.

        Raises:
            ImpossibleRequest: nothing is selected.
        """
        return self.store.retry_deliveries(self._names(selection), self.now, self.user)

    def discard(self, selection: DeliverySelection, reason: str) -> list[DeliveryChange]:
        """Discards the selected deliveries.

        Raises:
            ImpossibleRequest: nothing is selected, or the reason is empty or too long.
        """
        if not reason.strip():
            raise ImpossibleRequest("discarding a delivery needs a reason")
        names = self._names(selection)
        return self.store.discard_deliveries(names, self.now, self.user, _one_line(reason))

    def redirect(self, selection: DeliverySelection, to: str) -> list[DeliveryChange]:
        """Delivers the selected objects to the destination `to` instead.

        Raises:
            ImpossibleRequest: nothing is selected, or `to` is not a destination.
        """
        if to not in self.settings.destinations:
            raise ImpossibleRequest(self._unknown(to))
        names = self._names(selection)
        refused = [DeliveryChange(name, self._why_unfit(name, to)) for name in names]
        fitting = [change.name for change in refused if not change.refusal]
        changed = self.store.redirect_deliveries(fitting, to, self.now, self.user)
        return [*changed, *(change for change in refused if change.refusal)]

    def targets(self, selection: DeliverySelection) -> tuple[str, ...]:
        """Returns the destinations to which every selected delivery can be redirected."""
        names = self._names(selection)
        return tuple(
            to
            for to in self.settings.destinations
            if not any(self._why_unfit(name, to) for name in names)
        )

    def pause(self, queue: Queue, reason: str = "") -> bool:
        """Pauses the queue; returns False if it is paused already.

        Raises:
            ImpossibleRequest: there is no such destination, or the reason is too long.
        """
        self._require(queue)
        pause = Pause(queue, self.now, self.by, _one_line(reason), self.user)
        return self.store.pause_queue(pause)

    def resume(self, queue: Queue) -> bool:
        """Resumes the queue; returns False if it is not paused.

        Raises:
            ImpossibleRequest: there is no such destination.
        """
        self._require(queue)
        return self.store.resume_queue(queue, self.now, self.user)

    def _require(self, queue: Queue) -> None:
        if queue.kind is QueueKind.DESTINATION:
            known = {found.destination for found in self.destination_queues()}
            if queue.destination not in known:
                raise ImpossibleRequest(self._unknown(queue.destination))

    def _names(self, selection: DeliverySelection) -> list[DeliveryName]:
        """Returns the selected deliveries; those selected by name may be impossible to change."""
        only_named = DeliverySelection(names=selection.names)
        if selection.names and selection == only_named:
            return list(selection.names)
        found = [each.name for each in self.store.open_deliveries(selection)]
        if not found:
            raise ImpossibleRequest(
                "no delivery that waits or was given up is selected; see the queues"
            )
        return found

    def _why_unfit(self, name: DeliveryName, to: str) -> str:
        """Returns why the object cannot go to the configured destination; empty if it can."""
        if name.destination == to:
            return f"it is for {to} already"
        wanted = name.result_object
        if _is_report(wanted) == takes_reports(self.settings, to):
            return ""
        what = "the report" if _is_report(wanted) else f"the object {wanted.name}"
        return f"{to} does not take {what}"

    def _unknown(self, destination: str) -> str:
        known = ", ".join(self.settings.destinations) or "none"
        return f"there is no destination {destination!r}; the configuration has: {known}"


def _one_line(reason: str) -> str:
    """Returns the reason on one line, as the history keeps it."""
    text = " ".join(reason.split())
    if len(text) > MAX_REASON:
        message = f"the reason has {len(text)} characters; at most {MAX_REASON} are stored"
        raise ImpossibleRequest(message)
    return text


def takes_reports(settings: Settings, destination: str) -> bool:
    """Whether a configured destination is an information system: it takes reports, not DICOM."""
    return any(_is_report(each) for each in settings.destinations[destination].wanted.objects)


def _is_report(wanted: ResultObject) -> bool:
    return wanted.kind is ResultKind.REPORT
