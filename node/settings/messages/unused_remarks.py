"""Remarks on parts of the configuration that nothing uses."""

from collections.abc import Iterator

from node.routing.conditions import All, Equals, FromAe
from node.routing.contradictions import contradiction
from node.settings.options import Settings


def unused_remarks(settings: Settings) -> Iterator[str]:
    """Yields one sentence for each; none where there are no rules, which `check` says itself."""
    if settings.rules:
        yield from _unused_queries(settings)
        yield from _unused_destinations(settings)
        yield from _unused_senders(settings)


def _unused_queries(settings: Settings) -> Iterator[str]:
    """Yields queries for a modality that every rule excludes."""
    rules = [rule for rule in settings.rules if not rule.only_for_work_items]
    for name, query in settings.queries.items():
        wanted = Equals("Modality", query.modality)
        if all(contradiction(All((rule.when, wanted))) for rule in rules):
            yield (
                f"Query {name!r}: no rule takes {query.modality}, so the node would retrieve these "
                "series and ignore them."
            )


def _unused_destinations(settings: Settings) -> Iterator[str]:
    """Yields destinations that get no result, unless a person redirects one."""
    used = {name for rule in settings.rules for name in rule.destinations}
    for name in settings.destinations:
        if name not in used:
            yield (
                f"Destination {name!r}: no rule names it, so it gets only results that a person "
                "redirects to it."
            )


def _unused_senders(settings: Settings) -> Iterator[str]:
    """Yields sources and peers whose series every rule excludes by `from_ae`."""
    receivers = {
        getattr(destination, key, None)
        for destination in settings.destinations.values()
        for key in ("peer", "commitment")
    }
    senders = {f"Source {name!r}": name for name in settings.sources}
    for name, peer in settings.peers.items():
        # A system that gets results may have the right to store and still send nothing.
        if peer.retrieve or ("store" in peer.may and name not in receivers):
            senders[f"Peer {name!r}"] = peer.ae_title
    for subject, origin in senders.items():
        if all(contradiction(All((rule.when, FromAe((origin,))))) for rule in settings.rules):
            yield (
                f"{subject}: no rule takes series from {origin} (from_ae), so the node stores and "
                "ignores them."
            )
