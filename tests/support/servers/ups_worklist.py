"""The work items of a UPS origin server for tests: strict as PS3.18 11 and PS3.4 CC are."""

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from tests.support.servers.ups_requirements import final_state_mistakes, update_mistakes

_FINAL = {"COMPLETED", "CANCELED"}
_KEYS = {
    "ProcedureStepState",
    "InputReadinessState",
    "WorklistLabel",
    "ScheduledStationNameCodeSequence.CodeValue",
}
_MISSING = "The Transaction UID is missing."
_INCORRECT = "The Transaction UID is incorrect."
_INCONSISTENT = "The submitted request is inconsistent with the state of the UPS Instance."


@dataclass(frozen=True)
class Answer:
    """A response: status, body and the text of the Warning header."""

    status: int
    body: Any = None
    warning: str = ""


@dataclass(frozen=True)
class Received:
    """A request, with the state that the work item had before it."""

    method: str
    path: str
    query: dict[str, str]
    body: Any

    @property
    def name(self) -> str:
        """The transaction: `search`, `retrieve`, `update`, `state`, `subscribe`, `unsubscribe`."""
        parts = self.path.strip("/").split("/")
        match self.method, parts[1:]:
            case "GET", [_, *rest]:
                return "retrieve" if rest else "search"
            case "POST", [_, _]:
                return "update"
            case "PUT", [_, _, "state"]:
                return f"state {self.body['00741000']['Value'][0]}"
            case "POST", [_, _, "subscribers", _]:
                return "subscribe"
            case "DELETE", [_, _, "subscribers", _]:
                return "unsubscribe"
        return "unknown"


@dataclass
class UpsWorklist:
    """Work items, and the answer to each transaction; a subclass sends the events."""

    supports_subscriptions: bool = True
    ignores_keys: bool = False  # answers a search with every work item
    added_elements: dict[str, Any] = field(default_factory=dict)  # DICOM JSON, to every work item
    items: dict[str, Dataset] = field(default_factory=dict)
    changes: list[tuple[str, str]] = field(default_factory=list)  # work item, new state
    _deleted: set[str] = field(default_factory=set)
    _owners: dict[str, str] = field(default_factory=dict)  # work item -> Transaction UID
    _subscribers: dict[str, set[str]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def notify(self, ae_title: str, message: str) -> bool:
        """Sends an event to a subscriber; False if it is not connected."""
        raise NotImplementedError

    def schedule(self, dataset: Dataset) -> str:
        """Creates a work item; returns its UID."""
        uid = str(dataset.SOPInstanceUID)
        with self._lock:
            self.items[uid] = dataset
        return uid

    def state(self, uid: str) -> str:
        """The state of a work item."""
        with self._lock:
            return str(self.items[uid].ProcedureStepState)

    def progress(self, uid: str) -> Dataset:
        """The item of the progress information of a work item."""
        with self._lock:
            return Dataset(self.items[uid].ProcedureStepProgressInformationSequence[0])

    def performed(self, uid: str) -> Dataset:
        """The item of the performed procedure of a work item."""
        with self._lock:
            return Dataset(self.items[uid].UnifiedProcedureStepPerformedProcedureSequence[0])

    def claim(self, uid: str, transaction_uid: str) -> Answer:
        """Claims a work item as another performer."""
        body = {"00741000": {"Value": ["IN PROGRESS"]}, "00081195": {"Value": [transaction_uid]}}
        return self._change_state(uid, body)

    def end(self, uid: str, state: str) -> None:
        """Ends a work item as its server may (PS3.4 CC.2.1.3)."""
        with self._lock:
            self._set_state(uid, state)

    def delete(self, uid: str) -> None:
        """Deletes a work item; requests for it are answered with 410."""
        with self._lock:
            del self.items[uid]
            self._deleted.add(uid)

    def request_cancellation(self, uid: str, code: Dataset | None = None) -> Answer:
        """Requests the cancellation of a work item, as a requester does (PS3.18 11.8)."""
        with self._lock:
            state = self.state(uid)
            if state == "SCHEDULED":
                self._set_state(uid, "IN PROGRESS")
                self._set_state(uid, "CANCELED")
                return Answer(202)
            if state in _FINAL:
                return Answer(409, warning=f"The UPS is already {state}.")
            event = Dataset()
            if code is not None:
                event.ProcedureStepDiscontinuationReasonCodeSequence = [code]
            if not self._send(uid, 2, event):
                return Answer(409, warning="The performer cannot be contacted.")
            return Answer(202)

    def process(self, received: Received, query: list[tuple[str, str]]) -> Answer:
        """Answers a request."""
        parts = received.path.removeprefix("/dicom-web").strip("/").split("/")
        if parts == ["workitems"]:
            return self._search(query)
        uid = parts[1]
        if uid not in self.items:
            return Answer(410 if uid in self._deleted else 404)
        answer = Answer(501)
        match received.name:
            case "retrieve":
                answer = Answer(200, [self.items[uid].to_json_dict() | self.added_elements])
            case "update":
                answer = self._update(uid, received)
            case "subscribe" if self.supports_subscriptions:
                self._subscribers.setdefault(uid, set()).add(parts[3])
                answer = Answer(201)
            case "unsubscribe" if self.supports_subscriptions:
                self._subscribers.get(uid, set()).discard(parts[3])
                answer = Answer(200)
            case name if name.startswith("state "):
                answer = self._change_state(uid, received.body)
        return answer

    def _search(self, query: list[tuple[str, str]]) -> Answer:
        keys = dict(query)
        limit, offset = int(keys.pop("limit", 100)), int(keys.pop("offset", 0))
        keys.pop("includefield", None)
        if keys.keys() - _KEYS:
            return Answer(400, warning=f"unknown keys {sorted(keys.keys() - _KEYS)}")
        matching = [
            item.to_json_dict() | self.added_elements
            for item in self.items.values()
            if self.ignores_keys or all(_has(item, key, value) for key, value in keys.items())
        ]
        page = matching[offset : offset + limit]
        return Answer(200, page) if page else Answer(204)

    def _update(self, uid: str, received: Received) -> Answer:
        """PS3.18 11.6.2 and PS3.4 CC.2.6.3."""
        state = self.state(uid)
        if state in _FINAL:
            return Answer(400, warning=_INCONSISTENT)
        if state == "SCHEDULED":
            return Answer(409, warning="The target URI did not reference a claimed Workitem.")
        given = received.query.get("transaction-uid", "")
        if not given:
            return Answer(400, warning=_MISSING)
        if given != self._owners[uid]:
            return Answer(400, warning=_INCORRECT)
        changes = Dataset.from_json(received.body)
        if mistakes := list(update_mistakes(changes)):
            return Answer(400, warning="; ".join(mistakes))
        del changes.TransactionUID
        for element in changes:
            self.items[uid][element.tag] = element
        return Answer(200)

    def _change_state(self, uid: str, body: dict[str, Any]) -> Answer:
        """PS3.4 Table CC.1.1-2."""
        then = body["00741000"]["Value"][0]
        given = body.get("00081195", {}).get("Value", [""])[0]
        with self._lock:
            now = self.state(uid)
            refusal = self._refusal(uid, now, then, given)
            if refusal is not None:
                return refusal
            if now == then:
                return Answer(200, warning=f"The UPS is already in the requested state of {then}.")
            if then == "IN PROGRESS":
                self._owners[uid] = given
            self._set_state(uid, then)
            return Answer(200)

    def _refusal(self, uid: str, now: str, then: str, given: str) -> Answer | None:
        """Returns the refusal of a change of state; None if it is allowed."""
        if not given:
            return Answer(400, warning=_MISSING)
        if then not in {"IN PROGRESS", *_FINAL}:
            return Answer(400, warning=_INCONSISTENT)
        if (now == "SCHEDULED") != (then == "IN PROGRESS"):
            return Answer(409, warning=_INCONSISTENT)
        if now == "SCHEDULED":
            return None
        if given != self._owners.get(uid):
            return Answer(400, warning=_INCORRECT)
        mistakes = [_INCONSISTENT] if now in _FINAL - {then} else []
        if now == "IN PROGRESS":
            mistakes += final_state_mistakes(self.items[uid], then)
        return Answer(409, warning="; ".join(mistakes)) if mistakes else None

    def _set_state(self, uid: str, state: str) -> None:
        self.items[uid].ProcedureStepState = state
        self.changes.append((uid, state))
        event = Dataset()
        event.ProcedureStepState = state
        self._send(uid, 1, event)

    def _send(self, uid: str, event_type: int, event: Dataset) -> bool:
        """Sends an event to the subscribers of a work item; False if none is connected."""
        message = event.to_json_dict() | {
            "00000002": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.4"]},
            "00001000": {"vr": "UI", "Value": [uid]},
            "00001002": {"vr": "US", "Value": [event_type]},
        }
        sent = False
        for ae_title in self._subscribers.get(uid, set()):
            sent |= self.notify(ae_title, json.dumps(message))
        return sent


def _has(item: Dataset, key: str, value: str) -> bool:
    keyword, _, inner = key.partition(".")
    if not inner:
        return str(item.get(keyword, "")) == value
    return any(str(each.get(inner)) == value for each in item.get(keyword) or [])
