"""The console describes each destination."""

import pytest

from node.settings import Destination, FhirDestination, Hl7Destination, Settings
from node.web.console.configuration_text import describe_configuration


@pytest.mark.parametrize(
    ("destination", "text"),
    [
        (Hl7Destination(kind="hl7", host="his", port=2575), "HL7 ORU^R01 to his:2575"),
        (
            Hl7Destination(kind="hl7", host="his", port=2575, tls=True),
            "HL7 ORU^R01 to his:2575 with TLS",
        ),
        (FhirDestination(kind="fhir", url="http://ehr/r4"), "FHIR R4 to http://ehr/r4"),
    ],
)
def test_an_information_system_is_described_by_its_address(
    destination: Destination, text: str
) -> None:
    described = describe_configuration(Settings(destinations={"his": destination}))
    assert described.destinations == (("his", text),)
