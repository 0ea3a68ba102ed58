"""A FHIR server for tests: transactions with conditional create, searches and access tokens."""

import json
import re
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

from tests.support.servers.post_server import Answer, PostServer

Resource = dict[str, Any]


def operation_outcome(diagnostics: str) -> Resource:
    """Returns an OperationOutcome with one error."""
    issue = {"severity": "error", "code": "processing", "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


@dataclass
class FhirServer:
    """Listens on loopback within its context; keeps resources by type and id.

    With `answer`, every request gets that status and body. With `hangs`, none gets an answer.
    """

    token: str = ""
    answer: tuple[int, Any] | None = None
    hangs: bool = False
    tls: ssl.SSLContext | None = None
    resources: dict[str, dict[str, Resource]] = field(default_factory=dict)
    requests: int = 0
    _released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The root of the service."""
        return f"http://127.0.0.1:{self._server.port}/r4"

    def count(self, kind: str) -> int:
        """The number of stored resources of that type."""
        return len(self.resources.get(kind, {}))

    def store(self, resource: Resource) -> str:
        """Stores the resource and returns its relative URL."""
        kind: str = resource["resourceType"]
        of_kind = self.resources.setdefault(kind, {})
        name = str(len(of_kind) + 1)
        of_kind[name] = resource
        return f"{kind}/{name}"

    def __enter__(self) -> Self:
        self._server = PostServer(self._answer, tls=self.tls)
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.close()

    def _answer(self, path: str, headers: Mapping[str, str], content: bytes) -> Answer | None:
        self.requests += 1
        if self.hangs:
            self._released.wait()
            return None
        status, body = self._respond(path, headers, content)
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Answer(status, "application/fhir+json", encoded)

    def _respond(self, path: str, headers: Mapping[str, str], content: bytes) -> tuple[int, Any]:
        if self.answer is not None:
            return self.answer
        if path != "/r4":
            return 404, operation_outcome(f"there is nothing at {path}")
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return 401, operation_outcome("invalid token")
        if headers.get("Content-Type") != "application/fhir+json":
            return 415, operation_outcome("unsupported media type")
        return self._transaction(json.loads(content))

    def _transaction(self, bundle: Resource) -> tuple[int, Any]:
        """See http://hl7.org/fhir/R4/http.html#trules; nothing is stored if an entry fails."""
        names: dict[str, str] = {}
        created: list[Resource] = []
        entries = []
        for entry in bundle["entry"]:
            found = self._search(f"{entry['request']['url']}?{entry['request']['ifNoneExist']}")
            if len(found) > 1:
                return 412, operation_outcome("several resources match")
            status = "200 OK" if found else "201 Created"
            if found:
                names[entry["fullUrl"]] = found[0]
            else:
                kind = entry["resource"]["resourceType"]
                number = self.count(kind) + sum(r["resourceType"] == kind for r in created) + 1
                names[entry["fullUrl"]] = f"{kind}/{number}"
                created.append(entry["resource"])
            entries.append({"response": {"status": status, "location": names[entry["fullUrl"]]}})
        for resource in created:
            for reference in _references(resource):
                name = reference["reference"]
                if "?" in name:
                    matches = self._search(name)
                    if len(matches) != 1:
                        return 400, operation_outcome(f"no single match for {name}")
                    reference["reference"] = matches[0]
                else:
                    reference["reference"] = names[name]
        for resource in created:
            self.store(resource)
        return 200, {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}

    def _search(self, query: str) -> list[str]:
        match = re.fullmatch(r"(\w+)\?identifier=([^|]+)\|(.+)", query)
        assert match is not None, query
        kind, system, value = match[1], match[2], unquote(match[3])
        return [
            f"{kind}/{name}"
            for name, resource in self.resources.get(kind, {}).items()
            if any(
                (one.get("system"), one["value"]) == (system, value)
                for one in resource["identifier"]
            )
        ]


def _references(element: Any) -> list[Resource]:
    if isinstance(element, list):
        return [one for item in element for one in _references(item)]
    if not isinstance(element, dict):
        return []
    own = [element] if isinstance(element.get("reference"), str) else []
    return own + [one for value in element.values() for one in _references(value)]
