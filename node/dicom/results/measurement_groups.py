"""The parts of a measurement report: a measurement group for each organ, ratio, remarks."""

from collections.abc import Iterator, Sequence

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as SrCode
from pydicom.uid import SegmentationStorage

from models.manifest import Code, Label, ModelSpec
from models.measurement import Measurement, is_found, liver_spleen_ratio
from node.dicom.results.content import ResultContent
from node.domain.findings import Finding, FindingKind
from node.domain.result_objects import ResultObject, SegEncoding, tracking_uid

_LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"

# The coding scheme of concepts for which neither DICOM nor SNOMED CT has a code (PS3.16 8.2).
PRIVATE_SCHEME = "99SEGNODE"

VOLUME = codes.SCT.Volume  # PS3.16 CID 7469
ATTENUATION = codes.DCM.AttenuationCoefficient  # PS3.16 CID 7469
LIVER_SPLEEN_RATIO = SrCode("LIVER_SPLEEN_HU", PRIVATE_SCHEME, "Liver/spleen attenuation ratio")
MILLILITRE = SrCode("mL", "UCUM", "milliliter")
HOUNSFIELD_UNIT = codes.UCUM.HounsfieldUnit
RATIO = codes.UCUM.Ratio

# Findings that are true or false, with the value Yes (PS3.16 CID 230). Unusual values are coded as
# the normality of their measurement, and organs that were not found as Not detected.
EVALUATIONS = {
    FindingKind.CUT_BY_SERIES: SrCode(
        "CUT_BY_SERIES", PRIVATE_SCHEME, "Organ reaches the first or last slice"
    ),
    FindingKind.TOUCHES_FIELD_OF_VIEW: SrCode(
        "TOUCHES_FOV", PRIVATE_SCHEME, "Organ reaches the edge of the field of view"
    ),
    FindingKind.SEVERAL_COMPONENTS: SrCode(
        "SEVERAL_PARTS", PRIVATE_SCHEME, "Segment consists of several separate parts"
    ),
    FindingKind.HOLES: SrCode("HOLES", PRIVATE_SCHEME, "Segment encloses holes"),
    FindingKind.WINDOWS_DISAGREE: SrCode(
        "WINDOWS_DISAGREE", PRIVATE_SCHEME, "Overlapping windows of the model disagree"
    ),
    FindingKind.MODELS_DISAGREE: SrCode(
        "MODELS_DISAGREE", PRIVATE_SCHEME, "Another model disagrees"
    ),
}
NOT_DETECTED = SrCode("260415000", "SCT", "Not detected")
# Further normality codes than those of PS3.16 CID 222, which is extensible: they do not call a
# value abnormal that is only unusual.
ABOVE_RANGE = SrCode("281302008", "SCT", "Above reference range")
BELOW_RANGE = SrCode("281300000", "SCT", "Below reference range")
_RANGE_DESCRIPTION = "Usual for adults, in any contrast phase"

_CONTAINS = sr.RelationshipTypeValues.CONTAINS


def sop_class_of_segments(result_object: ResultObject) -> str:
    """Returns the SOP class of the SEG that `result_object` references."""
    if result_object.encoding is SegEncoding.LABELMAP:
        return _LABEL_MAP_SEGMENTATION_STORAGE
    return str(SegmentationStorage)


def measurement_groups(
    content: ResultContent, result_object: ResultObject
) -> list[
    sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
]:
    """Returns one group for each organ that was found, then that of the attenuation ratio."""
    algorithm = _algorithm(content.spec)
    groups: list[
        sr.VolumetricROIMeasurementsAndQualitativeEvaluations
        | sr.MeasurementsAndQualitativeEvaluations
    ] = [
        _organ_group(content, result_object, number, label, algorithm)
        for number, label in enumerate(content.mask.labels, start=1)
        if is_found(content.measurements[label.name], label)
    ]
    ratio = liver_spleen_ratio(content.measurements, content.mask.labels)
    if ratio is not None:
        groups.append(_ratio_group(content, result_object, ratio, algorithm))
    return groups


def qualitative_evaluations(content: ResultContent, remarks: Sequence[str]) -> Dataset:
    """Returns the container of what is said about the whole series (PS3.16 TID 1500, row 12).

    It holds the findings about the series and about organs that were not found, then the `remarks`.
    """
    container = sr.ContainerContentItem(
        name=SrCode("C0034375", "UMLS", "Qualitative Evaluations"), relationship_type=_CONTAINS
    )
    items = sr.ContentSequence()
    types = {label.name: label.type for label in content.mask.labels}
    not_found = {f.organ for f in content.findings if f.kind is FindingKind.NOT_FOUND}
    for finding in content.findings:
        if finding.kind is FindingKind.NOT_FOUND:
            organ = _code(types[finding.organ])
            items.append(sr.CodeContentItem(organ, NOT_DETECTED, _CONTAINS))
        if not finding.organ or finding.organ in not_found:  # an organ without a group
            items.append(_comment(finding.text))
    for remark in remarks:
        items.append(_comment(remark))
    container.ContentSequence = items
    return container


def _organ_group(
    content: ResultContent,
    result_object: ResultObject,
    segment_number: int,
    label: Label,
    algorithm: sr.AlgorithmIdentification,
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Returns the measurements of one segment (PS3.16 TID 1411)."""
    findings = [finding for finding in content.findings if finding.organ == label.name]
    measured = content.measurements[label.name]
    source_series_uid = str(content.source.sources[0].SeriesInstanceUID)
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=tracking_uid(content.job_id, label.index, len(content.mask.labels)),
            identifier=f"{content.spec.model_id} {label.name}",
        ),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=sop_class_of_segments(result_object),
            sop_instance_uid=content.uids(result_object.segmentation).sop_instance_uid(),
            segment_number=segment_number,
            source_series=sr.SourceSeriesForSegmentation(source_series_uid),
        ),
        finding_category=_code(label.category),
        finding_type=_code(label.type),
        finding_sites=[sr.FindingSite(_code(label.type))],
        algorithm_id=algorithm,
        measurements=[
            _volume(measured, label, findings),
            *_attenuations(measured, label, findings),
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(EVALUATIONS[finding.kind], codes.SCT.Yes)
            for finding in findings
            if finding.kind in EVALUATIONS
        ],
    )
    for finding in findings:
        group[0].ContentSequence.append(_comment(finding.text))
    return group


def _volume(measured: Measurement, label: Label, findings: Sequence[Finding]) -> sr.Measurement:
    is_unusual = any(finding.kind is FindingKind.UNUSUAL_VOLUME for finding in findings)
    usual = label.usual_volume_ml if is_unusual else None
    return sr.Measurement(
        VOLUME,
        measured.volume_ml,
        MILLILITRE,
        properties=_normality(measured.volume_ml, usual, MILLILITRE),
    )


def _attenuations(
    measured: Measurement, label: Label, findings: Sequence[Finding]
) -> Iterator[sr.Measurement]:
    """Yields mean, standard deviation, minimum and maximum (PS3.16 CID 7464), if measured."""
    is_unusual = any(finding.kind is FindingKind.UNUSUAL_ATTENUATION for finding in findings)
    for value, derivation in (
        (measured.mean_hu, codes.SCT.Mean),
        (measured.sd_hu, codes.SCT.StandardDeviation),
        (measured.min_hu, codes.SCT.Minimum),
        (measured.max_hu, codes.SCT.Maximum),
    ):
        if value is None:
            continue
        usual = label.usual_hu if is_unusual and derivation == codes.SCT.Mean else None
        yield sr.Measurement(
            ATTENUATION,
            value,
            HOUNSFIELD_UNIT,
            derivation=derivation,
            properties=_normality(value, usual, HOUNSFIELD_UNIT),
        )


def _normality(
    value: float, usual: tuple[float, float] | None, unit: SrCode
) -> sr.MeasurementProperties | None:
    """Says on which side of its usual range a value lies (PS3.16 TID 310 and TID 312)."""
    if usual is None:
        return None
    limits = [
        sr.NumContentItem(name, limit, unit, None, sr.RelationshipTypeValues.HAS_PROPERTIES)
        for name, limit in zip(
            (codes.SCT.NormalRangeLowerLimit, codes.SCT.NormalRangeUpperLimit), usual, strict=True
        )
    ]
    return sr.MeasurementProperties(
        normality=ABOVE_RANGE if value > usual[1] else BELOW_RANGE,
        normal_range_properties=sr.NormalRangeProperties(limits, description=_RANGE_DESCRIPTION),
    )


def _ratio_group(
    content: ResultContent,
    result_object: ResultObject,
    ratio: float,
    algorithm: sr.AlgorithmIdentification,
) -> sr.MeasurementsAndQualitativeEvaluations:
    """Returns the liver/spleen attenuation ratio as a group of its own (PS3.16 TID 1501).

    Such a group needs no relationship to the groups of the two organs, whose attenuation it states.
    """
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=content.uids(result_object).derived_uid("liver/spleen attenuation ratio"),
            identifier=f"{content.spec.model_id} {LIVER_SPLEEN_RATIO.meaning}",
        ),
        finding_sites=[sr.FindingSite(codes.SCT.Liver), sr.FindingSite(codes.SCT.Spleen)],
        algorithm_id=algorithm,
        measurements=[sr.Measurement(LIVER_SPLEEN_RATIO, ratio, RATIO)],
    )


def _algorithm(spec: ModelSpec) -> sr.AlgorithmIdentification:
    """Identifies the model (PS3.16 TID 4019)."""
    return sr.AlgorithmIdentification(
        name=spec.model_id,
        version=spec.version,
        manufacturer=spec.manufacturer,
        family=codes.cid7162.ArtificialIntelligence,
        parameters=[
            f"weights_sha256 = {spec.weights_sha256}",
            f"spacing_mm = {list(spec.spacing_mm)}",
            f"hu_window = {list(spec.hu_window)}",
            f"patch = {list(spec.patch)}",
            f"overlap = {spec.overlap}",
            f"keep_largest = {str(spec.keep_largest).lower()}",
        ],
    )


def _comment(text: str) -> sr.TextContentItem:
    return sr.TextContentItem(codes.DCM.Comment, text, _CONTAINS)


def _code(code: Code) -> SrCode:
    return SrCode(code.value, code.scheme, code.meaning)
