"""The settings of worklists, and their mistakes."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from node.routing.attributes import suggestion
from node.routing.condition_parsing import Mistake
from node.settings.credentials.options import HttpServiceOptions
from node.settings.value_types import (
    Boolean,
    CodeText,
    EventsUrl,
    LongString,
    Name,
    Options,
    Positive,
    Url,
    Whole,
    within,
)

# Kinds of destinations from which the workflow manager can retrieve what a work item produced.
_RETRIEVABLE = ("cstore", "dicomweb")


class WorkItemTask(Options):
    """Work items with this Scheduled Workitem Code are performed by the rule named `rule`."""

    code: CodeText
    scheme: CodeText
    rule: Name


class WorklistOptions(HttpServiceOptions):
    """A UPS-RS server whose work items the node performs; `url` is the part before `/workitems`.

    `station` is the node's Scheduled Station Name Code (of any scheme without `station_scheme`):
    only its work items are performed; None: those of any station. `label`, a Worklist Label, has
    the same meaning.
    `source` names the source or peer of images where the work item does not. At most `max_open`
    work items are claimed at a time; one that is not performed after `give_up_after_hours` is
    canceled. With `subscribe`, requests to cancel arrive by WebSocket from `events_url`, by default
    the address of `url`.
    """

    url: Url
    tasks: Annotated[tuple[WorkItemTask, ...], Field(min_length=1)]
    station: CodeText | None = None
    station_scheme: CodeText | None = None
    label: LongString | None = None
    source: Name | None = None
    poll_seconds: Positive = 30.0
    max_open: Annotated[Whole, within(1, 1000)] = 10
    give_up_after_hours: Positive = 24.0
    subscribe: Boolean = True
    events_url: EventsUrl = ""


def worklist_mistakes(values: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yields names that nothing defines, and rules and codes that do not fit together.

    `values` are the raw values of the file, valid or not.
    """
    rules = {
        str(rule.get("name")): rule
        for rule in _list(values.get("rules"))
        if isinstance(rule, Mapping)
    }
    named = set()
    for name, worklist in _table(values.get("worklists")).items():
        path = ("worklists", str(name))
        yield from _source_mistakes(_table(worklist).get("source"), (*path, "source"), values)
        codes = set()
        for i, task in enumerate(_list(_table(worklist).get("tasks"))):
            rule_name = _table(task).get("rule")
            code = (_table(task).get("code"), _table(task).get("scheme"))
            if code in codes:
                yield (*path, "tasks", i, "code"), f"the code {code[0]!r} is named twice"
            codes.add(code)
            if isinstance(rule_name, str) and rule_name:
                named.add(rule_name)
                rule_path = (*path, "tasks", i, "rule")
                yield from _rule_mistakes(rule_name, rules, rule_path, values)
    for i, rule in enumerate(_list(values.get("rules"))):
        only = _table(rule).get("only_for_work_items")
        if only is True and _table(rule).get("name") not in named:
            message = "no task of a worklist names this rule, so it would never apply"
            yield ("rules", i, "only_for_work_items"), message


def settings_without_effect(worklist: WorklistOptions) -> Iterator[tuple[str, str]]:
    """Yields settings that need another one, each with the reason."""
    if worklist.station_scheme is not None and worklist.station is None:
        yield "station_scheme", "has no effect without a station"


def _source_mistakes(
    source: Any, path: tuple[str | int, ...], values: Mapping[str, Any]
) -> Iterator[Mistake]:
    peers = _table(values.get("peers"))
    able = [name for name, peer in peers.items() if _table(peer).get("retrieve")]
    known = [*_table(values.get("sources")), *able]
    if not isinstance(source, str) or not source or source in known:
        return
    if source in peers:
        yield path, f'peer {source!r} needs retrieve = "move" or retrieve = "get"'
    else:
        yield path, f"there is no source or peer {source!r}{suggestion(source, known)}"


def _rule_mistakes(
    name: str,
    rules: Mapping[str, Mapping[str, Any]],
    path: tuple[str | int, ...],
    values: Mapping[str, Any],
) -> Iterator[Mistake]:
    if name not in rules:
        yield path, f"there is no rule {name!r}{suggestion(name, rules)}"
        return
    if rules[name].get("enabled") is False:
        yield path, f"rule {name!r} is disabled, so it would perform no work item"
    destinations = _table(values.get("destinations"))
    kinds = {
        _table(destinations.get(destination)).get("kind")
        for destination in _list(rules[name].get("destinations"))
        if isinstance(destination, str)
    }
    if kinds and not kinds & {*_RETRIEVABLE, None}:
        known = " or ".join(_RETRIEVABLE)
        yield (
            path,
            f"rule {name!r} needs a destination of kind {known}: its report to the workflow "
            "manager names where the result can be retrieved",
        )


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
