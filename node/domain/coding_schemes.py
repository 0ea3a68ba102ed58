"""Coding scheme designators (PS3.16 Table 8-1), and the URIs of the same systems in FHIR R4."""

from node.domain.identifiers import mint_uid

# The node's own scheme; designators that begin with 99 are local (PS3.3 8.2).
LOCAL_SCHEME = "99SEGNODE"

CODE_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "RADLEX": "http://radlex.org",
    LOCAL_SCHEME: f"urn:oid:{mint_uid('coding scheme', LOCAL_SCHEME)}",
}


def code_system(scheme: str) -> str:
    """Returns the URI of a scheme (a designator, or a URI itself); empty where it has none."""
    return scheme if ":" in scheme else CODE_SYSTEMS.get(scheme, "")
