"""Patient, study and trial attributes that a result copies from its source.

Attributes of the source are copied unchanged. Attributes that it lacks stay absent, except those
of type 2, which are then present and empty. Attributes of the acquisition, its series and its
performed procedure step are not copied, because they are not true of a result.
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

# Type 2 of the Patient and General Study modules: present even if unknown.
_TYPE_2 = (
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
_TRIAL = (  # PS3.3 C.7.1.3, C.7.2.3, and those of C.7.3.2 that hold for every series of the trial
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
# Type 2 in the trial modules and 2C for animals: an empty value is copied as well.
_COPIED_IF_EMPTY = frozenset(
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

# Value representations of text; a value of one can be written as another.
_TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})

_DEFINED_TERM = re.compile(r"ISO_IR \d+$|ISO 2022 IR \d+$|GB18030$|GBK$")

# The default repertoire, which pydicom's table decodes as Latin-1.
_ASCII = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})

# Keywords that are copied if the source has a value for them.
COPIED_KEYWORDS = (*_PATIENT, *_STUDY, *_PATIENT_STUDY, *_TRIAL, *_REQUEST)


def copy_context_attributes(source: Dataset, result: Dataset, own_texts: Iterable[str]) -> None:
    """Copies patient, study and trial attributes from the source's header into the result.

    The result keeps the source's character set if that can encode `own_texts` (the texts that the
    result adds), else it is written in UTF-8.
    """
    for keyword in _TYPE_2:
        element = _element(source, keyword)
        if element is not None and not element.is_empty:
            result[keyword] = element
        else:
            setattr(result, keyword, None)
    for keyword in COPIED_KEYWORDS:
        element = _element(source, keyword)
        if element is not None and (keyword in _COPIED_IF_EMPTY or not element.is_empty):
            result[keyword] = element
    character_set = source.get("SpecificCharacterSet")
    if not _is_defined(character_set) or not _can_encode(character_set, own_texts):
        character_set = "ISO_IR 192"
    if character_set:
        result.SpecificCharacterSet = character_set
    elif "SpecificCharacterSet" in result:
        del result.SpecificCharacterSet


def _element(source: Dataset, keyword: str) -> DataElement | None:
    """Returns a copy of the element; None if it is absent or its value is invalid for its VR."""
    if keyword not in source:
        return None
    try:
        element = deepcopy(source[keyword])
        if element.VR == "SQ":
            for item in element.value:
                item.decode()
    except PARSE_ERRORS:
        return None
    defined_vr = dictionary_VR(keyword)
    if defined_vr != element.VR and {element.VR, defined_vr} <= _TEXT_VRS:
        # An identifier with another text VR is still valid.
        element = DataElement(element.tag, defined_vr, str(element.value))
    # pydicom keeps a weight of "70 kg" as text or gives it another VR: no reader could use it.
    if defined_vr != element.VR or (
        element.VR in ("DS", "IS") and isinstance(element.value, str) and element.value
    ):
        return None
    return element


def _is_defined(character_set: object) -> bool:
    """Returns whether every term is defined by the standard (PS3.3 C.12.1.1.2)."""
    names: Any = character_set or ""
    terms = [names] if isinstance(names, str) else names
    return all(
        term == "" or (term in python_encoding and _DEFINED_TERM.match(term)) for term in terms
    )


def _can_encode(character_set: object, texts: Iterable[str]) -> bool:
    """Returns whether the first term of the character set can encode the texts; empty is ASCII.

    Code extensions (ISO 2022) are not used for the node's texts, because more readers decode UTF-8
    correctly.
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
