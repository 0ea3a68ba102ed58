"""The SR states what was measured, exactly, with the units and codes of TID 1500."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import highdicom as hd
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from models.measurement import liver_spleen_ratio
from node.dicom.ct.reader import read_series
from node.dicom.equipment import this_node
from node.dicom.results import encoders
from node.dicom.results.content import ResultContent
from node.dicom.results.measurement_groups import (
    ABOVE_RANGE,
    BELOW_RANGE,
    LIVER_SPLEEN_RATIO,
    NOT_DETECTED,
    PRIVATE_SCHEME,
)
from node.dicom.results.measurement_report import encode
from node.domain.findings import Finding, FindingKind
from node.domain.identifiers import Uid
from node.domain.job import ReplacedResult
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding, tracking_uid
from tests.support.dicom.builders import ThresholdSegmenter, ct_series, enhanced_ct
from tests.support.dicom.measured_content import (
    JOB_ID,
    body_content,
    measured_content,
    organs_content,
)

SR = ResultObject(ResultKind.SR)
LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"

Group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations


def report(content: ResultContent, result_object: ResultObject = SR) -> Dataset:
    (dataset,) = encode(content, result_object)
    return dataset


def part10(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def document(dataset: Dataset) -> hd.sr.MeasurementReport:
    content = hd.sr.srread(BytesIO(part10(dataset))).content
    assert isinstance(content, hd.sr.MeasurementReport)
    return content


def organ_groups(dataset: Dataset) -> list[Group]:
    return document(dataset).get_volumetric_roi_measurement_groups()


def items(dataset: Dataset) -> Iterator[Dataset]:
    """All content items of the tree, depth first."""
    for item in dataset.get("ContentSequence") or ():
        yield item
        yield from items(item)


def named(dataset: Dataset, code_value: str) -> list[Dataset]:
    return [
        item
        for item in items(dataset)
        if "ConceptNameCodeSequence" in item
        and item.ConceptNameCodeSequence[0].CodeValue == code_value
    ]


def texts(dataset: Dataset) -> list[str]:
    return [item.TextValue for item in items(dataset) if item.ValueType == "TEXT"]


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> ResultContent:
    return organs_content(tmp_path_factory.mktemp("organs"))


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> ResultContent:
    return body_content(tmp_path_factory.mktemp("body"))


def test_the_values_read_back_equal_the_measurements(organs: ResultContent) -> None:
    hounsfield = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
    groups = organ_groups(report(organs))
    assert len(groups) == len(organs.mask.labels) - 1  # one organ was not found
    for group in groups:
        name = str(group.tracking_identifier).removeprefix("organs-ct ")
        measured = organs.measurements[name]
        expected: list[tuple[Code, Code | None, float | None, Code]] = [
            (codes.SCT.Volume, None, measured.volume_ml, Code("mL", "UCUM", "milliliter")),
            *(
                (Code("112031", "DCM", "Attenuation Coefficient"), derivation, value, hounsfield)
                for derivation, value in (
                    (Code("373098007", "SCT", "Mean"), measured.mean_hu),
                    (Code("386136009", "SCT", "Standard Deviation"), measured.sd_hu),
                    (Code("255605001", "SCT", "Minimum"), measured.min_hu),
                    (Code("56851009", "SCT", "Maximum"), measured.max_hu),
                )
            ),
        ]
        found = group.get_measurements()
        assert [one.value for one in found] == [value for _, _, value, _ in expected]
        assert all(one.name == name for one, (name, *_) in zip(found, expected, strict=True))
        assert all(one.unit == unit for one, (*_, unit) in zip(found, expected, strict=True))
        for one, (_, derivation, _, _) in zip(found, expected, strict=True):
            assert one.derivation == derivation


def test_a_volume_in_the_report_is_the_number_of_voxels_of_the_known_mask(
    organs: ResultContent,
) -> None:
    voxel_ml = float(organs.mask.volume.voxel_volume) / 1000
    for group in organ_groups(report(organs)):
        assert group.referenced_segment is not None
        number = group.referenced_segment[0].referenced_segment_numbers[0]
        count = int((organs.mask.volume.array == organs.mask.labels[number - 1].index).sum())
        assert count > 0
        (volume,) = group.get_measurements(name=codes.SCT.Volume)
        assert volume.value == pytest.approx(count * voxel_ml, rel=1e-12)


@pytest.mark.parametrize("encoding", SegEncoding)
def test_each_group_references_its_segment_and_source_and_is_tracked(
    organs: ResultContent, encoding: SegEncoding
) -> None:
    result_object = ResultObject.of(ResultKind.SR, encoding)
    labels = organs.mask.labels
    for group in organ_groups(report(organs, result_object)):
        assert group.referenced_segment is not None
        segment, source = group.referenced_segment
        (number,) = segment.referenced_segment_numbers
        label = labels[number - 1]
        assert segment.referenced_sop_class_uid == (
            LABELMAP if encoding is SegEncoding.LABELMAP else SegmentationStorage
        )
        seg = ResultObject.of(ResultKind.SEG, encoding)
        assert segment.referenced_sop_instance_uid == organs.uids(seg).sop_instance_uid()
        assert source.value == organs.source.sources[0].SeriesInstanceUID
        assert group.tracking_identifier == f"organs-ct {label.name}"
        assert str(group.tracking_uid) == tracking_uid(JOB_ID, label.index, len(labels))
        assert group.finding_type == hd.sr.CodedConcept(
            label.type.value, label.type.scheme, label.type.meaning
        )
        assert [site.value.value for site in group.finding_sites] == [label.type.value]


@pytest.mark.parametrize("encoding", SegEncoding)
def test_the_referenced_segments_are_those_of_the_seg(
    body: ResultContent, encoding: SegEncoding
) -> None:
    (seg,) = encoders.encode(body, ResultObject(ResultKind.SEG, encoding))
    segments = {int(item.SegmentNumber): item for item in seg.SegmentSequence}
    dataset = report(body, ResultObject(ResultKind.SR, encoding))
    groups = organ_groups(dataset)
    assert len(groups) == 2
    for group in groups:
        assert group.referenced_segment is not None
        reference = group.referenced_segment[0]
        assert reference.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert reference.referenced_sop_class_uid == seg.SOPClassUID
        segment = segments[reference.referenced_segment_numbers[0]]
        assert group.tracking_uid == segment.TrackingUID
        assert group.tracking_identifier == segment.TrackingID
        assert group.finding_type is not None
        (code,) = segment.SegmentedPropertyTypeCodeSequence
        assert group.finding_type.value == code.CodeValue
    evidence = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert evidence[1].SeriesInstanceUID == seg.SeriesInstanceUID


def test_a_marked_result_says_so(body: ResultContent) -> None:
    marked = "Marked by the rules of the site: check the findings before any use."
    assert marked in texts(report(replace(body, is_marked=True)))
    assert marked not in texts(report(body))


def test_the_evidence_is_the_source_series_and_the_seg(organs: ResultContent) -> None:
    dataset = report(organs)
    (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == organs.source.sources[0].StudyInstanceUID
    source, seg = study.ReferencedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in source.ReferencedSOPSequence] == [
        image.SOPInstanceUID for image in organs.source.sources
    ]
    uids = organs.uids(SR.segmentation)
    assert seg.SeriesInstanceUID == uids.series_instance_uid
    assert [one.ReferencedSOPInstanceUID for one in seg.ReferencedSOPSequence] == [
        uids.sop_instance_uid()
    ]
    assert "PertinentOtherEvidenceSequence" not in dataset
    library = [item for item in items(dataset) if item.ValueType == "IMAGE"]
    referenced = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in library}
    assert referenced == {image.SOPInstanceUID for image in organs.source.sources} | {
        uids.sop_instance_uid()
    }


def test_a_multi_frame_source_is_one_image_of_the_library(tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    enhanced_ct().save_as(path, enforce_file_format=True)
    content = _read(path)
    (library,) = named(report(content), "126200")
    images = [item for item in library.ContentSequence if item.ValueType == "IMAGE"]
    assert len(images) == 1


def test_the_ratio_is_stated_where_liver_and_spleen_were_found(
    organs: ResultContent, tmp_path: Path
) -> None:
    (group,) = document(report(organs)).get_image_measurement_groups()
    (ratio,) = group.get_measurements()
    assert ratio.name == LIVER_SPLEEN_RATIO
    assert ratio.unit.value == "{ratio}"
    assert ratio.value == liver_spleen_ratio(organs.measurements, organs.mask.labels)
    assert [site.value.meaning for site in group.finding_sites] == ["Liver", "Spleen"]
    path = tmp_path / "enhanced.dcm"
    enhanced_ct().save_as(path, enforce_file_format=True)
    assert document(report(_read(path))).get_image_measurement_groups() == []


def test_an_organ_that_was_not_found_is_stated_without_a_value(body: ResultContent) -> None:
    dataset = report(body)
    assert [group.tracking_identifier for group in organ_groups(dataset)] == [
        "liver-test Liver",
        "liver-test Spleen",
    ]
    (evaluations,) = named(dataset, "C0034375")
    stated = [item for item in evaluations.ContentSequence if item.ValueType == "CODE"]
    assert [item.ConceptNameCodeSequence[0].CodeValue for item in stated] == ["18639004"]
    assert stated[0].ConceptCodeSequence[0].CodeValue == NOT_DETECTED.value
    assert "No left kidney was found in the series." in texts(dataset)


def test_a_value_outside_its_usual_range_is_marked_with_the_range(body: ResultContent) -> None:
    liver, spleen = organ_groups(report(body))
    volume, mean, *others = liver.get_measurements()
    for measurement, normality, limits, unit in (
        (volume, BELOW_RANGE, [800.0, 2300.0], "mL"),
        (mean, ABOVE_RANGE, [40.0, 110.0], "[hnsf'U]"),
    ):
        marked = [item for item in measurement[0].ContentSequence if item.name.value != "121401"]
        assert marked[0].name == codes.DCM.Normality
        assert marked[0].value == normality
        assert [item.value for item in marked[1:3]] == limits
        assert {item.unit.value for item in marked[1:3]} == {unit}
        assert "Usual for adults" in marked[3].value
    for measurement in (*others, *spleen.get_measurements()):
        children = measurement[0].get("ContentSequence") or ()
        assert {item.name.value for item in children} <= {"121401"}


def test_findings_are_coded_and_stated_in_the_group_of_their_organ(organs: ResultContent) -> None:
    aorta = next(
        group
        for group in organ_groups(report(organs))
        if group.tracking_identifier == "organs-ct Aorta"
    )
    (cut,) = aorta.get_qualitative_evaluations(
        name=hd.sr.CodedConcept("CUT_BY_SERIES", PRIVATE_SCHEME, "Organ reaches the first or last")
    )
    assert cut.value == codes.SCT.Yes
    stated = [item.TextValue for item in aorta[0].ContentSequence if item.get("TextValue")]
    assert [f.text for f in organs.findings if f.organ == "Aorta"] == stated[-1:]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FindingKind.WINDOWS_DISAGREE, "WINDOWS_DISAGREE"),
        (FindingKind.MODELS_DISAGREE, "MODELS_DISAGREE"),
    ],
)
def test_a_disagreement_is_coded_in_the_group_of_its_organ(
    organs: ResultContent, kind: FindingKind, code: str
) -> None:
    found = Finding(kind, "Liver", "They disagree on the liver.")
    marked = replace(organs, findings=(*organs.findings, found))
    for group in organ_groups(report(marked)):
        name = hd.sr.CodedConcept(code, PRIVATE_SCHEME, "any meaning")
        values = [item.value for item in group.get_qualitative_evaluations(name=name)]
        texts = [item.TextValue for item in group[0].ContentSequence if item.get("TextValue")]
        is_liver = group.tracking_identifier == "organs-ct Liver"
        assert values == ([codes.SCT.Yes] if is_liver else [])
        assert ("They disagree on the liver." in texts) == is_liver


def test_a_disagreement_on_an_organ_that_was_not_found_is_stated(organs: ResultContent) -> None:
    found = Finding(FindingKind.MODELS_DISAGREE, "Pancreas", "Another model has a pancreas.")
    dataset = report(replace(organs, findings=(*organs.findings, found)))
    (evaluations,) = named(dataset, "C0034375")
    texts = [item.get("TextValue") for item in evaluations.ContentSequence]
    assert texts.count("Another model has a pancreas.") == 1
    assert [item.get("TextValue") for item in items(dataset)].count(found.text) == 1


def test_every_private_code_is_of_the_identified_scheme(organs: ResultContent) -> None:
    dataset = report(organs)
    (scheme,) = dataset.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == PRIVATE_SCHEME
    assert scheme.CodingSchemeResponsibleOrganization == "segnode"
    used = {
        code.CodingSchemeDesignator
        for item in items(dataset)
        for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence")
        for code in item.get(keyword) or ()
    }
    assert used == {"DCM", "SCT", "LN", "UMLS", "RFC5646", PRIVATE_SCHEME}


def test_the_report_names_its_device_algorithm_language_and_title(organs: ResultContent) -> None:
    dataset = report(organs)
    node = this_node()
    assert dataset.SOPClassUID == Comprehensive3DSRStorage
    assert dataset.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurement Report"
    (language,) = named(dataset, "121049")
    assert language.ConceptCodeSequence[0].CodeValue == "en"
    (observer,) = document(dataset).get_observer_contexts()
    device = observer.observer_identifying_attributes
    assert isinstance(device, hd.sr.DeviceObserverIdentifyingAttributes)
    assert (str(device.uid), device.name, device.manufacturer_name) == (
        node.device_uid,
        node.model_name,
        node.manufacturer,
    )
    assert (device.model_name, device.serial_number) == (node.model_name, node.serial_number)
    group = organ_groups(dataset)[0]
    algorithm = [item.get("TextValue") for item in group[0].ContentSequence]
    assert organs.spec.model_id in algorithm
    assert organs.spec.version in algorithm
    assert f"weights_sha256 = {organs.spec.weights_sha256}" in algorithm


def test_the_algorithm_and_the_device_are_named_as_the_contributing_equipment(
    organs: ResultContent,
) -> None:
    """IHE AI Results, table 6.5.3.1-1."""
    dataset = report(organs)
    node, algorithm = dataset.ContributingEquipmentSequence[-2:]
    for code, equipment in (
        ("111001", algorithm.ManufacturerModelName),
        ("111003", algorithm.SoftwareVersions),
        ("122405", algorithm.Manufacturer),
        ("121014", node.Manufacturer),
        ("121015", node.ManufacturerModelName),
    ):
        assert {item.TextValue for item in named(dataset, code)} == {equipment}
    assert {item.UID for item in named(dataset, "121012")} == {node.DeviceUID}


def test_no_person_has_verified_the_report_and_it_says_so(organs: ResultContent) -> None:
    dataset = report(organs)
    assert dataset.CompletionFlag == "COMPLETE"
    assert dataset.PreliminaryFlag == "PRELIMINARY"
    assert dataset.VerificationFlag == "UNVERIFIED"
    assert "VerifyingObserverSequence" not in dataset
    assert any(text.startswith("Not for diagnostic use") for text in texts(dataset))


def test_the_volumes_are_also_stated_in_one_sentence(body: ResultContent) -> None:
    liver, spleen = (body.measurements[name].volume_ml for name in ("Liver", "Spleen"))
    assert f"Volumes: liver {liver:.0f} mL, spleen {spleen:.0f} mL." in texts(report(body))


def test_an_organ_that_may_continue_outside_has_at_least_its_volume(organs: ResultContent) -> None:
    aorta = organs.measurements["Aorta"]
    assert aorta.cut_by_series
    (stated,) = [text for text in texts(report(organs)) if text.startswith("Volumes: ")]
    assert f"aorta at least {aorta.volume_ml:.0f} mL" in stated
    assert f"liver {organs.measurements['Liver'].volume_ml:.0f} mL" in stated


def test_equal_content_gives_equal_bytes(organs: ResultContent) -> None:
    assert part10(report(organs)) == part10(report(organs))


def test_the_patient_is_in_the_header_and_in_no_text(tmp_path: Path) -> None:
    def change(_index: int, dataset: Dataset) -> None:
        dataset.PatientName, dataset.PatientID = "Musterfrau^Erika", "4711"

    dataset = report(body_content(tmp_path, change=change))
    assert dataset.PatientID == "4711"
    assert not any("Muster" in text or "4711" in text for text in texts(dataset))


def test_the_order_and_procedure_of_the_source_are_those_of_the_report(tmp_path: Path) -> None:
    def change(_index: int, dataset: Dataset) -> None:
        dataset.AccessionNumber = "A-17"
        dataset.PlacerOrderNumberImagingServiceRequest = "P-1"
        request = Dataset()
        request.RequestedProcedureID = "RP-2"
        request.RequestedProcedureDescription = "CT Abdomen"
        dataset.RequestAttributesSequence = [request]
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "AB1", "99RIS", "CT abdomen"
        dataset.ProcedureCodeSequence = [code, Dataset()]

    dataset = report(body_content(tmp_path, change=change))
    (request,) = dataset.ReferencedRequestSequence
    assert request.AccessionNumber == "A-17"
    assert request.RequestedProcedureID == "RP-2"
    assert request.PlacerOrderNumberImagingServiceRequest == "P-1"
    assert request.FillerOrderNumberImagingServiceRequest is None
    (procedure,) = named(dataset, "121058")
    assert procedure.ConceptCodeSequence[0].CodeValue == "AB1"
    # The modules of a report lack these.
    assert "RequestAttributesSequence" not in dataset
    assert "BodyPartExamined" not in dataset


def test_a_source_without_order_and_procedure_has_no_invented_ones(body: ResultContent) -> None:
    dataset = report(body)
    assert "ReferencedRequestSequence" not in dataset
    (procedure,) = named(dataset, "121058")
    assert procedure.ConceptCodeSequence[0].CodeMeaning == "CT unspecified body region"


def test_a_report_that_replaces_another_says_so(tmp_path: Path) -> None:
    replaced = ReplacedResult(Uid("1.2.3.4"), 12, "0.1.0")
    stated = texts(report(body_content(tmp_path, replaces=replaced)))
    assert (
        "Replaces the measurements in the result 1.2.3.4, which was made by version 0.1.0 from "
        "12 instances." in stated
    )


def _read(path: Path) -> ResultContent:
    """The content of a series in which only a liver was segmented."""
    series = read_series([path])
    return measured_content(series, ThresholdSegmenter().predict(series.volume))


def test_objects_that_were_left_out_are_stated(tmp_path: Path) -> None:
    content = body_content(tmp_path, files=ct_series(localizer=[0]))
    stated = "1 object of the series is no slice and was left out: 1 localizer."
    assert texts(report(content)).count(stated) == 1
