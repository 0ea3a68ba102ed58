"""Checks of the settings of destinations that are information systems: HL7 and FHIR."""

from collections.abc import Iterator

from node.domain.coding_schemes import CODE_SYSTEMS, code_system
from node.routing.condition_parsing import Mistake
from node.settings.destinations import Destination, FhirDestination, Hl7Destination, ObservationCode


def information_system_mistakes(destination: Destination) -> Iterator[Mistake]:
    """Yields what is wrong with the destination's settings, each with its path below it.

    Destinations of other kinds have no such mistakes.
    """
    match destination:
        case Hl7Destination():
            yield from _repeated_codes(destination.codes)
        case FhirDestination():
            yield from _repeated_codes(destination.codes)
            for i, code in enumerate(destination.codes):
                if not code_system(code.scheme):
                    known = ", ".join(CODE_SYSTEMS)
                    message = f"must be the URI of a code system, or one of {known}"
                    yield ("codes", i, "scheme"), message
        case _:
            return


def _repeated_codes(codes: tuple[ObservationCode, ...]) -> Iterator[Mistake]:
    seen = set()
    for i, code in enumerate(codes):
        measurement = (code.organ, code.quantity)
        if measurement in seen:
            yield ("codes", i), f"{code.organ} has another code for {code.quantity.value}"
        seen.add(measurement)
