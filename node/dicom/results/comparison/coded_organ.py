"""What a segment shows by its codes, and which models find the same."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from models.manifest import Label, ModelSpec


@dataclass(frozen=True)
class CodedOrgan:
    """What a segment shows: its property type and the modifiers of that, such as the side.

    Equal organs have equal codes, whatever their names are. A retired SNOMED code (SRT) equals the
    one that replaces it, but has another hash.
    """

    type: Code
    modifiers: tuple[Code, ...] = ()

    @classmethod
    def of_label(cls, label: Label) -> "CodedOrgan":
        """Returns the organ of a model's label, which has no modifiers."""
        return cls(Code(label.type.value, label.type.scheme, label.type.meaning))

    @classmethod
    def of_segment(cls, segment: Dataset) -> "CodedOrgan":
        """Returns the organ of an item of the Segment Sequence (PS3.3 C.8.20.4)."""
        (coded,) = segment.SegmentedPropertyTypeCodeSequence
        modifiers = coded.get("SegmentedPropertyTypeModifierCodeSequence") or ()
        return cls(_code(coded), tuple(map(_code, modifiers)))


def comparable_models(specs: Iterable[ModelSpec]) -> dict[str, frozenset[str]]:
    """Returns by model id the other models that find an organ with the same code.

    A model finds the organs of all its versions.
    """
    organs: dict[str, list[CodedOrgan]] = defaultdict(list)
    for spec in specs:
        organs[spec.model_id] += [CodedOrgan.of_label(label) for label in spec.labels]
    return {
        own: frozenset(
            other
            for other in organs
            if other != own and any(organ in organs[own] for organ in organs[other])
        )
        for own in organs
    }


def _code(item: Dataset) -> Code:
    return Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
