"""The Segment Sequence of a segmentation: what each segment shows and how it was made."""

import highdicom as hd
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as SrCode

from models.manifest import Code, Label
from node.dicom.results.content import ResultContent
from node.domain.result_objects import tracking_uid
from node.domain.texts.result_texts import MARKED


def segment_descriptions(content: ResultContent) -> list[hd.seg.SegmentDescription]:
    """Returns one item for each label of the mask, numbered from 1 (PS3.3 C.8.20.4)."""
    labels = content.mask.labels
    return [_description(content, label, number) for number, label in enumerate(labels, start=1)]


def _description(content: ResultContent, label: Label, number: int) -> hd.seg.SegmentDescription:
    spec = content.spec
    algorithm = hd.AlgorithmIdentificationSequence(
        name=spec.model_id,
        family=codes.cid7162.ArtificialIntelligence,
        version=spec.version,
        source=spec.manufacturer,
        parameters={"weights_sha256": spec.weights_sha256},
    )
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=_code(label.category),
        segmented_property_type=_code(label.type),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=tracking_uid(content.job_id, label.index, len(content.mask.labels)),
        tracking_id=f"{spec.model_id} {label.name}",
        display_color=hd.color.CIELabColor.from_rgb(*label.display_rgb),
    )
    mark = f". {MARKED}." if content.is_marked else ""
    description.SegmentDescription = f"{label.name}. {content.texts.content_description}{mark}"
    return description


def _code(code: Code) -> SrCode:
    return SrCode(code.value, code.scheme, code.meaning)
