"""Settings of the destinations hl7 and fhir, and the messages for their mistakes."""

from pathlib import Path

import pytest

from models.installed_packages import installed
from node.domain.report import Quantity
from node.settings import FhirDestination, Hl7Destination, load_settings
from node.settings.organ_codes import uncoded_measurements
from tests.unit.settings.site import VALID, line_of, mistakes_in, write

_HL7 = """
[destinations.his]
kind = "hl7"
host = "his.example"
port = 2575
"""
_FHIR = """
[destinations.ehr]
kind = "fhir"
url = "https://fhir.example/r4"
"""


def test_the_defaults_are_those_of_a_site_without_special_wishes(tmp_path: Path) -> None:
    destinations = load_settings(write(tmp_path, VALID + _HL7 + _FHIR)).destinations
    his, ehr = destinations["his"], destinations["ehr"]
    assert isinstance(his, Hl7Destination)
    assert isinstance(ehr, FhirDestination)
    assert (his.tls, his.charset, his.status, his.processing_id) == (
        False, "utf-8", "preliminary", "P"
    )  # fmt: skip
    assert (ehr.status, ehr.patient_reference, ehr.token_env) == ("preliminary", "identifier", None)


def test_every_setting_is_read_and_paths_start_from_the_file(tmp_path: Path) -> None:
    for name in ("ca.pem", "own.pem", "own.key"):
        (tmp_path / name).touch()
    extra = """
    tls = true
    ca_file = "ca.pem"
    certificate_file = "own.pem"
    key_file = "own.key"
    charset = "iso-8859-1"
    viewer_url = "https://viewer.example/viewer?StudyInstanceUIDs={study}&a=1"
    [[destinations.his.codes]]
    organ = "Liver"
    quantity = "standard-deviation"
    code = "LSD"
    scheme = "99HOSP"
    meaning = "Liver SD"
    """
    his = load_settings(write(tmp_path, VALID + _HL7 + extra)).destinations["his"]
    assert isinstance(his, Hl7Destination)
    assert (his.ca_file, his.certificate_file, his.key_file) == (
        tmp_path / "ca.pem", tmp_path / "own.pem", tmp_path / "own.key"
    )  # fmt: skip
    assert his.codes[0].quantity is Quantity.STANDARD_DEVIATION


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('charset = "utf-16"', "must be 'utf-8', 'iso-8859-1' or 'us-ascii'"),
        ('status = "corrected"', "must be 'preliminary' or 'final'"),
        ('processing_id = "X"', "must be 'P', 'T' or 'D'"),
        ('viewer_url = "https://viewer.example"', "must hold {study} once"),
        ('viewer_url = "https://viewer.example/{study}/{series}"', "no other braces"),
        ('viewer_url = "viewer.example/{study}"', "must be an address such as"),
        ('sending_application = " SEGNODE"', "at most 20 printable characters"),
        ('sending_facility = "a facility with a long name"', "at most 20 printable characters"),
        ("timeout_seconds = 0", "must be above 0"),
        ('ca_file = "site.toml"', "has no effect without tls = true"),
        ('tls = true\nca_file = "missing.pem"', "there is no file"),
        ('tls = true\nkey_file = "site.toml"', "has no effect without a certificate_file"),
        ('token_env = "X"', "unknown setting"),
        (
            'codes = [{ organ = "L", quantity = "mean", code = "1", scheme = "S" }]',
            "meaning: is missing",
        ),
        (
            'codes = [{ organ = "L", quantity = "mean", code = "1", scheme = "S", mening = "M" }]',
            "unknown setting (did you mean 'meaning'?)",
        ),
        (
            'codes = [{ organ = "L", quantity = "mass", code = "1", scheme = "S", meaning = "M" }]',
            "must be 'volume'",
        ),
        (
            'codes = [{ organ = "L", quantity = "mean", code = "1", scheme = "S", meaning = "M" },'
            ' { organ = "L", quantity = "mean", code = "2", scheme = "S", meaning = "M" }]',
            "L has another code for mean",
        ),
    ],
)
def test_a_mistake_of_hl7_is_reported_with_its_line(
    tmp_path: Path, line: str, message: str
) -> None:
    text = VALID + _HL7 + line
    mistakes = mistakes_in(tmp_path, text)
    last = line.splitlines()[-1].split(" =", maxsplit=1)[0]
    (mistake,) = (one for one in mistakes if message in one)
    assert mistake.startswith(f"site.toml:{line_of(text, f'{last} =')}: destinations.his.{last}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('patient_system = "MPI"', "must be a URI such as urn:oid:1.2.3"),
        ('patient_system = "urn:oid:1.2|3"', "must be a URI such as urn:oid:1.2.3"),
        ('patient_reference = "name"', "must be 'identifier' or 'search'"),
        ('charset = "utf-8"', "unknown setting"),
        ('ca_file = "missing.pem"', "there is no file"),
        (
            'codes = [{ organ = "L", quantity = "mean", code = "1", scheme = "H", meaning = "M" }]',
            "must be the URI of a code system, or one of SCT",
        ),
    ],
)
def test_a_mistake_of_fhir_is_reported_with_its_line(
    tmp_path: Path, line: str, message: str
) -> None:
    text = VALID + _FHIR + line
    key = line.split(" =", maxsplit=1)[0]
    (mistake,) = (one for one in mistakes_in(tmp_path, text) if message in one)
    assert mistake.startswith(f"site.toml:{line_of(text, line)}: destinations.ehr.{key}")


def test_an_address_with_a_password_in_it_is_refused(tmp_path: Path) -> None:
    text = VALID + _FHIR.replace("https://", "https://user:password@")
    (mistake,) = mistakes_in(tmp_path, text)
    assert "must hold no name and password" in mistake


_CODE = (
    'codes = [{{ organ = "{}", quantity = "volume", code = "1", scheme = "LN", meaning = "M" }}]'
)


@pytest.mark.parametrize(("table", "name"), [(_HL7, "his"), (_FHIR, "ehr")])
def test_an_organ_that_the_routed_model_does_not_find_is_reported_with_the_closest(
    tmp_path: Path, table: str, name: str
) -> None:
    routed = VALID.replace('["pacs"]', f'["pacs", "{name}"]')
    text = routed + table + _CODE.format("liver")
    (mistake,) = mistakes_in(tmp_path, text)
    assert mistake == (
        f"site.toml:{line_of(text, 'codes =')}: destinations.{name}.codes.1.organ: "
        "liver-ct finds no 'liver' (did you mean 'Liver'?)"
    )
    (mistake,) = mistakes_in(tmp_path, routed + table + _CODE.format("Spleen"))
    assert mistake.endswith("liver-ct finds no 'Spleen'; known: Liver")


def test_a_destination_without_a_rule_may_have_codes_for_the_organs_of_every_model(
    tmp_path: Path,
) -> None:
    load_settings(write(tmp_path, VALID + _HL7 + _CODE.format("Spleen")))
    (mistake,) = mistakes_in(tmp_path, VALID + _HL7 + _CODE.format("Splen"))
    assert "did you mean 'Spleen'?" in mistake


def test_measurements_without_a_code_of_the_site_are_listed(tmp_path: Path) -> None:
    routed = VALID.replace('["pacs"]', '["pacs", "his"]') + _HL7
    models = installed()

    def uncoded(text: str) -> list[tuple[str, str]]:
        settings = load_settings(write(tmp_path, text))
        return list(uncoded_measurements(settings.rules, settings.destinations, models))

    assert uncoded(routed) == [("his", "Liver")]
    assert uncoded(routed + _CODE.format("Liver")) == [
        ("his", "Liver (mean, standard-deviation, minimum, maximum)")
    ]
    codes = ", ".join(
        f'{{ organ = "Liver", quantity = "{quantity}", code = "1", scheme = "LN", meaning = "M" }}'
        for quantity in Quantity
    )
    assert uncoded(f"{routed}codes = [{codes}]") == []
    assert uncoded(VALID + _HL7) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("fhir.example/r4", "must be an address such as https://fhir.hospital.example/r4"),
        ("https://me:pw@fhir.example/r4", "must hold no name and password: use token_file"),
    ],
)
def test_the_address_of_a_fhir_server_is_explained_as_such(
    tmp_path: Path, url: str, message: str
) -> None:
    (mistake,) = mistakes_in(tmp_path, VALID + _FHIR.replace("https://fhir.example/r4", url))
    assert mistake.endswith(f"destinations.ehr.url: {message}")
