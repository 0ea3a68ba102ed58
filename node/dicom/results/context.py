"""Whose study it is: the patient, study and trial attributes a result takes from its source.

What the source has is carried unchanged, what it lacks stays absent, and what the standard wants
present even when unknown (type 2) is then present and empty. Attributes of the acquisition, its
series and its performed procedure step are not carried: they are not true of a result.
"""

import re
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from node.dicom.ct.headers import PARSE_ERRORS

# Present even when unknown: type 2 of the Patient and General Study modules.
_ALWAYS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "PositionReferenceIndicator",
)
_PATIENT = (  # PS3.3 C.7.1.1
    "ReferencedPatientSequence",
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "SourcePatientGroupIdentificationSequence",
    "GroupOfPatientsIdentificationSequence",
    "PatientBirthTime",
    "PatientBirthDateInAlternativeCalendar",
    "PatientDeathDateInAlternativeCalendar",
    "PatientAlternativeCalendar",
    "QualityControlSubject",
    "StrainDescription",
    "StrainNomenclature",
    "StrainStockSequence",
    "StrainAdditionalInformation",
    "StrainCodeSequence",
    "GeneticModificationsSequence",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "ReferencedPatientPhotoSequence",
    "EthnicGroup",
    "EthnicGroupCodeSequence",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientComments",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
)
_STUDY = (  # PS3.3 C.7.2.1
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName",
    "ConsultingPhysicianIdentificationSequence",
    "StudyDescription",
    "ProcedureCodeSequence",
    "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy",
    "PhysiciansReadingStudyIdentificationSequence",
    "ReferencedStudySequence",
    "RequestingService",
    "RequestingServiceCodeSequence",
    "ReasonForPerformedProcedureCodeSequence",
)
_PATIENT_STUDY = (  # PS3.3 C.7.2.2
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientSizeCodeSequence",
    "PatientBodyMassIndex",
    "MeasuredAPDimension",
    "MeasuredLateralDimension",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "Occupation",
    "SmokingStatus",
    "AdditionalPatientHistory",
    "PregnancyStatus",
    "LastMenstrualDate",
    "PatientSexNeutered",
    "ReasonForVisit",
    "ReasonForVisitCodeSequence",
    "AdmissionID",
    "IssuerOfAdmissionID",
    "IssuerOfAdmissionIDSequence",
    "ServiceEpisodeID",
    "ServiceEpisodeDescription",
    "IssuerOfServiceEpisodeID",
    "IssuerOfServiceEpisodeIDSequence",
    "PatientState",
)
_TRIAL = (  # PS3.3 C.7.1.3, C.7.2.3, and of C.7.3.2 what is true of every series of the trial
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "IssuerOfClinicalTrialProtocolID",
    "OtherClinicalTrialProtocolIDsSequence",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "IssuerOfClinicalTrialSiteID",
    "ClinicalTrialSubjectID",
    "IssuerOfClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "IssuerOfClinicalTrialSubjectReadingID",
    "ClinicalTrialProtocolEthicsCommitteeName",
    "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
    "ClinicalTrialTimePointTypeCodeSequence",
    "IssuerOfClinicalTrialTimePointID",
    "LongitudinalTemporalOffsetFromEvent",
    "LongitudinalTemporalEventType",
    "ConsentForClinicalTrialUseSequence",
    "ClinicalTrialCoordinatingCenterName",
)
# Type 2 inside the trial modules, and 2C of animals: an empty value must stay where it is there.
_EMPTY_TOO = frozenset(
    {
        "PatientBreedDescription",
        "PatientBreedCodeSequence",
        "BreedRegistrationSequence",
        "PatientSexNeutered",
        "ResponsiblePerson",
        "ResponsibleOrganization",
        "ClinicalTrialProtocolName",
        "ClinicalTrialSiteID",
        "ClinicalTrialSiteName",
        "ClinicalTrialTimePointID",
        "ClinicalTrialCoordinatingCenterName",
    }
)
_REQUEST = ("RequestAttributesSequence", "LongitudinalTemporalInformationModified")

# Value representations that hold text, and can be written as one another.
_TEXTS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})

_TERM = re.compile(r"ISO_IR \d+$|ISO 2022 IR \d+$|GB18030$|GBK$")

# The default repertoire; pydicom's table reads it as Latin-1.
_ASCII = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})

# Every keyword that is carried when the source has a value for it.
CARRIED = (*_PATIENT, *_STUDY, *_PATIENT_STUDY, *_TRIAL, *_REQUEST)


def carry_context(source: Dataset, result: Dataset, own_texts: Iterable[str]) -> None:
    """Copy patient, study and trial attributes from the source's header into the result.

    The result is written in the source's character set where that can spell `own_texts` (the
    texts the result says itself), else in UTF-8.
    """
    for keyword in _ALWAYS:
        element = _element(source, keyword)
        if element is not None and not element.is_empty:
            result[keyword] = element
        else:
            setattr(result, keyword, None)
    for keyword in CARRIED:
        element = _element(source, keyword)
        if element is not None and (keyword in _EMPTY_TOO or not element.is_empty):
            result[keyword] = element
    character_set = source.get("SpecificCharacterSet")
    if not _is_defined(character_set) or not _can_spell(character_set, own_texts):
        character_set = "ISO_IR 192"
    if character_set:
        result.SpecificCharacterSet = character_set
    elif "SpecificCharacterSet" in result:
        del result.SpecificCharacterSet


def _element(source: Dataset, keyword: str) -> DataElement | None:
    """A copy of the element; None where it is absent, or its value is none of its kind."""
    if keyword not in source:
        return None
    try:
        element = deepcopy(source[keyword])
        if element.VR == "SQ":
            for item in element.value:
                item.decode()
    except PARSE_ERRORS:
        return None
    wanted = dictionary_VR(keyword)
    if wanted != element.VR and {element.VR, wanted} <= _TEXTS:
        # An identifier written as another kind of text is an identifier all the same.
        element = DataElement(element.tag, wanted, str(element.value))
    # A weight of "70 kg" stays a text in pydicom, or becomes another kind: no reader could use it.
    if wanted != element.VR or (
        element.VR in ("DS", "IS") and isinstance(element.value, str) and element.value
    ):
        return None
    return element


def _is_defined(character_set: object) -> bool:
    """Whether every term is one of the standard's (PS3.3 C.12.1.1.2), as other readers know it."""
    names: Any = character_set or ""
    terms = [names] if isinstance(names, str) else names
    return all(term == "" or (term in python_encoding and _TERM.match(term)) for term in terms)


def _can_spell(character_set: object, texts: Iterable[str]) -> bool:
    """Whether the texts can be written in the character set, the first of several; none is ASCII.

    Code extensions (ISO 2022) are not used for our own texts: UTF-8 is simpler to read right.
    """
    names: Any = character_set or ""
    first = names if isinstance(names, str) else str(names[0])
    encoding = python_encoding.get(first, "ascii") if first not in _ASCII else "ascii"
    try:
        for text in texts:
            text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
