"""The site's codes of measurements, compared with the organs that its rules send."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from models.manifest import ModelSpec
from node.domain.report import Quantity
from node.routing.attributes import suggestion
from node.routing.condition_parsing import Mistake
from node.routing.rules import Rule
from node.settings.destinations import Destination, FhirDestination, Hl7Destination


def unknown_organs(values: Mapping[str, Any], models: Mapping[str, ModelSpec]) -> Iterator[Mistake]:
    """Yields codes for organs that no model finds whose results a rule sends to the destination.

    `values` are those of the file, valid or not. Where no rule names the destination, the organs
    of all installed `models` count; where a rule names an unknown model, its mistake is enough.
    """
    routed = _routed_models(values.get("rules"))
    for name, table in _table(values.get("destinations")).items():
        names = routed[name] or set(models)
        if not all(name in models for name in names):
            continue
        organs = _organs(names, models)
        codes = _table(table).get("codes")
        for i, code in enumerate(codes if isinstance(codes, list) else []):
            organ = _table(code).get("organ")
            if isinstance(organ, str) and organ and organ not in organs:
                path = ("destinations", name, "codes", i, "organ")
                found_by = " or ".join(sorted(names))
                yield path, f"{found_by} finds no {organ!r}{suggestion(organ, organs)}"


def uncoded_measurements(
    rules: Sequence[Rule],
    destinations: Mapping[str, Destination],
    models: Mapping[str, ModelSpec],
) -> Iterator[tuple[str, str]]:
    """Yields each information system that lacks codes, and which measurements have none.

    Such measurements are sent with the node's own codes, so they are no mistake.
    """
    for name, destination in destinations.items():
        if not isinstance(destination, Hl7Destination | FhirDestination):
            continue
        names = {rule.model for rule in rules if name in rule.destinations}
        coded = {(code.organ, code.quantity) for code in destination.codes}
        missing = [
            (organ, [quantity for quantity in Quantity if (organ, quantity) not in coded])
            for organ in _organs(names, models)
        ]
        texts = [
            organ if len(quantities) == len(Quantity) else f"{organ} ({', '.join(quantities)})"
            for organ, quantities in missing
            if quantities
        ]
        if texts:
            yield name, ", ".join(texts)


def _routed_models(rules: Any) -> defaultdict[str, set[str]]:
    """Returns the models whose results the rules send to each destination, by its name."""
    routed = defaultdict[str, set[str]](set)
    for rule in rules if isinstance(rules, list) else []:
        names = _table(rule).get("destinations")
        for name in names if isinstance(names, list) else []:
            routed[str(name)].add(str(_table(rule).get("model")))
    return routed


def _organs(names: Collection[str], models: Mapping[str, ModelSpec]) -> list[str]:
    """Returns the names of the labels of these models, each once, in their order."""
    specs = (models[name] for name in sorted(names))
    return list(dict.fromkeys(label.name for spec in specs for label in spec.labels))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
