"""Checks across settings: names that nothing defines, and settings that contradict each other.

`unknown_references` reads the raw values of the file, valid or not, so that its mistakes are
reported together with all others.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from models.installed_packages import InstalledPackages, installed
from models.manifest import InvalidPackage
from node.domain.texts.numbers import exact
from node.routing.attributes import closest_match, suggestion
from node.routing.condition_parsing import KeyPath, Mistake
from node.settings.access.logins import access_mistakes, logins_besides
from node.settings.chosen_models import model_mistakes
from node.settings.credentials.tables import credential_mistakes
from node.settings.destinations import Destination, FhirDestination, Hl7Destination
from node.settings.information_systems import information_system_mistakes
from node.settings.network.loopback import is_ip_address
from node.settings.network.mistakes import network_mistakes
from node.settings.options import Settings
from node.settings.organ_codes import unknown_organs
from node.settings.worklists import settings_without_effect, worklist_mistakes


def unknown_references(values: Mapping[str, Any], base: Path) -> Iterator[Mistake]:
    """Yields references to destinations, models, organs, peers and folders that do not exist.

    It also yields tables that exclude each other.
    """
    destinations = _table(values.get("destinations"))
    peers = _table(values.get("peers"))
    for name, table in destinations.items():
        for key in ("peer", "commitment"):
            peer = _table(table).get(key)
            if isinstance(peer, str) and peer and peer not in peers:
                path = ("destinations", name, key)
                yield path, f"there is no peer {peer!r}{suggestion(peer, peers)}"
    yield from _unknown_query_sources(values, peers)
    yield from worklist_mistakes(values)
    yield from logins_besides(values)
    models, mistakes = _installed_models(values.get("catalogues"), base)
    yield from mistakes
    if models is not None:
        yield from unknown_organs(values, models)
    for model in _table(_table(values.get("worker")).get("most_of_model_at_once")):
        if models is not None and not models.versions_of(model):
            path = ("worker", "most_of_model_at_once", model)
            yield path, f"there is no model {model!r}{suggestion(model, models)}"
    rules = values.get("rules")
    for i, rule in enumerate(rules if isinstance(rules, list) else []):
        yield from _unknown_in_rule(_table(rule), ("rules", i), destinations, models)
        if peers and _table(values.get("listener")).get("accept_from") != "any":
            yield from _unknown_senders(rule, ("rules", i), peers, _table(values.get("sources")))


def _unknown_query_sources(
    values: Mapping[str, Any], peers: Mapping[str, Any]
) -> Iterator[Mistake]:
    """Yields sources of queries that are neither a DICOMweb source nor a peer to retrieve from."""
    able = [name for name, peer in peers.items() if _table(peer).get("retrieve")]
    known = [*_table(values.get("sources")), *able]
    for name, table in _table(values.get("queries")).items():
        source = _table(table).get("source")
        if not isinstance(source, str) or not source or source in known:
            continue
        if source in peers:
            message = f'peer {source!r} needs retrieve = "move" or retrieve = "get"'
        else:
            message = f"there is no source or peer {source!r}{suggestion(source, known)}"
        yield ("queries", name, "source"), message


def _unknown_in_rule(
    rule: Mapping[str, Any],
    path: KeyPath,
    destinations: Collection[str],
    models: InstalledPackages | None,
) -> Iterator[Mistake]:
    if models is not None:
        yield from model_mistakes(rule, path, models)
    names = rule.get("destinations")
    for j, name in enumerate(names if isinstance(names, list) else []):
        if isinstance(name, str) and name not in destinations:
            message = f"there is no destination {name!r}{suggestion(name, destinations)}"
            yield (*path, "destinations", j), message


def _unknown_senders(
    value: Any, path: KeyPath, peers: Mapping[str, Any], sources: Collection[str]
) -> Iterator[Mistake]:
    """Yields senders in `from_ae` that the node rejects because they are not listed as peers."""
    titles = {str(_table(peer).get("ae_title", "")).strip() for peer in peers.values()}
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _unknown_senders(item, (*path, i), peers, sources)
    for key, item in _table(value).items():
        if key != "from_ae":
            yield from _unknown_senders(item, (*path, key), peers, sources)
            continue
        for i, name in enumerate(item if isinstance(item, list) else []):
            known = {*titles, *sources}
            if isinstance(name, str) and name.strip() not in known and not is_ip_address(name):
                hint = _sender_hint(name, titles, sources)
                yield (*path, key, i), f"no peer has the AE title {name!r}{hint}"


def _sender_hint(name: str, titles: Collection[str], sources: Collection[str]) -> str:
    """Returns the sender that was meant; where none is similar, all senders, by what they are."""
    if match := closest_match(name, [*titles, *sources]):
        return f" (did you mean {match!r}?)"
    hint = f"; the peers have {', '.join(sorted(titles))}"
    return f"{hint}; the sources are {', '.join(sorted(sources))}" if sources else hint


def _installed_models(
    catalogues: Any, base: Path
) -> tuple[InstalledPackages | None, list[Mistake]]:
    """Returns the installed models (None if a catalogue cannot be read) and the mistakes found."""
    texts = [c for c in catalogues if isinstance(c, str)] if isinstance(catalogues, list) else []
    folders: list[Path] = []
    mistakes: list[Mistake] = []
    for i, text in enumerate(texts):
        try:
            folder = base / Path(text).expanduser()
        except RuntimeError:
            return None, mistakes  # the validation of the single settings reports it
        if folder.is_dir():
            folders.append(folder)
        else:
            mistakes.append((("catalogues", i), f"there is no folder {folder}"))
    try:
        models = installed(folders)
        models.check_weights()
    except InvalidPackage as error:
        return None, [*mistakes, (("catalogues",), str(error))]
    return (None if mistakes else models), mistakes


def contradictions(settings: Settings, base: Path) -> Iterator[Mistake]:
    """Yields settings that exclude each other; relative paths start from `base`."""
    delivery = settings.delivery
    if delivery.longest_retry_seconds < delivery.first_retry_seconds:
        path = ("delivery", "longest_retry_seconds")
        yield path, f"is below first_retry_seconds, {exact(delivery.first_retry_seconds)}"
    if 0 < settings.retention.free_bytes < settings.min_free_bytes:
        message = (
            f"is below least_free_gib, {exact(settings.least_free_gib)}: nothing would come in"
        )
        yield ("retention", "free_gib"), message
    yield from access_mistakes(settings.access, settings.web)
    yield from credential_mistakes(settings)
    yield from network_mistakes(settings, base)
    yield from _alert_mistakes(settings)
    yield from _mistakes_within_tables(settings)
    for name, peer in settings.peers.items():
        for hint, permission in (("release", "store"), ("commitment", "commit")):
            if hint in peer.complete_on and permission not in peer.may:
                message = f'"{hint}" completes nothing unless its `may` has "{permission}"'
                yield ("peers", name, "complete_on"), message
        if peer.retrieve is not None and name in settings.sources:
            message = f"a source has the name {name!r}, too: rename one, so that it is clear which"
            yield ("peers", name, "retrieve"), message


def _mistakes_within_tables(settings: Settings) -> Iterator[Mistake]:
    """Yields settings of one destination or worklist that exclude each other."""
    for name, destination in settings.destinations.items():
        for part, message in (
            *_object_mistakes(destination),
            *information_system_mistakes(destination),
        ):
            yield ("destinations", name, *part), message
    for name, worklist in settings.worklists.items():
        for key, message in settings_without_effect(worklist):
            yield ("worklists", name, key), message


def _object_mistakes(destination: Destination) -> Iterator[Mistake]:
    """Yields what is wrong with the objects of a destination, each with its path below it."""
    for key in ("objects", "fallback"):
        listed = getattr(destination, key, ())
        for i, each in enumerate(listed):
            if each in listed[:i]:
                yield (key, i), f"{each!r} is named twice"
    if isinstance(destination, Hl7Destination | FhirDestination):
        return
    if destination.deflated and destination.segmentation == "labelmap":
        message = 'has no effect with segmentation = "labelmap", which is compressed otherwise'
        yield ("deflated",), message
    elif destination.deflated and "seg" not in (*destination.objects, *destination.fallback):
        yield ("deflated",), 'has no effect without "seg" in objects'


def _alert_mistakes(settings: Settings) -> Iterator[Mistake]:
    """Yields settings of monitoring and alerts that cannot work."""
    low_gib = settings.monitoring.low_disk_gib
    if low_gib is not None and low_gib < settings.least_free_gib:
        message = (
            f"is below least_free_gib, {exact(settings.least_free_gib)}: the warning comes too late"
        )
        yield ("monitoring", "low_disk_gib"), message
    mail = settings.alerts.mail
    if mail is not None and mail.username is not None and mail.security == "none":
        message = '"none" would send the password in clear text: use "starttls" or "tls"'
        yield ("alerts", "mail", "security"), message


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
