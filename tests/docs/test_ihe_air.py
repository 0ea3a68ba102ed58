"""The tables about the IHE profile AI Results equal the objects that the encoders make."""

import re
from collections.abc import Iterator, Mapping

import pytest
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset

from node.dicom.results.encoders import encode
from node.domain.result_objects import ResultKind, ResultObject
from tests.support.conformance_statement import keyword, table, table_with_quotes
from tests.support.dicom.measured_content import organs_content

STEP = re.compile(r"(.+) (\([0-9A-F]{4},[0-9A-F]{4}\))")
CONCEPT = re.compile(r'\((\w+), (\w+), "(.+)"\)')
MET = [row for row in table_with_quotes("AIR requirement") if row[3] == "yes"]
OBJECTS = {"SR": ResultKind.SR, "SEG": ResultKind.SEG}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Dataset]:
    """The SR, the SEG and a source image of one result."""
    content = organs_content(tmp_path_factory.mktemp("organs"))
    for image in content.source.sources:
        image.AccessionNumber = "A-17"
    encoded = {
        name: next(iter(encode(content, ResultObject(kind)))) for name, kind in OBJECTS.items()
    }
    return {**encoded, "source": content.source.sources[0]}


def values_at(dataset: Dataset, path: list[str]) -> Iterator[object]:
    """Yields the values of the attribute at the end of the path, in every item on the way."""
    match = STEP.fullmatch(path[0])
    assert match, f"{path[0]!r} is no attribute with its tag"
    word = keyword(match[2])
    assert match[1] == dictionary_description(word)
    if len(path) == 1:
        if word in dataset:
            yield dataset[word].value
        return
    for item in dataset.get(word) or ():
        yield from values_at(item, path[1:])


def values_of_concept(item: Dataset, concept: re.Match[str]) -> Iterator[object]:
    """Yields the values of the content items with that concept, anywhere below `item`."""
    for child in item.get("ContentSequence") or ():
        for name in child.get("ConceptNameCodeSequence") or ():
            if (name.CodeValue, name.CodingSchemeDesignator) == (concept[1], concept[2]):
                assert name.CodeMeaning.lower() == concept[3].lower()
                yield value_of(child)
        yield from values_of_concept(child, concept)


def value_of(item: Dataset) -> object:
    """The value of a content item: a code, a text, a UID, a number; else its references."""
    if "ConceptCodeSequence" in item:
        return item.ConceptCodeSequence[0].CodeValue
    if "MeasuredValueSequence" in item:
        return item.MeasuredValueSequence[0].NumericValue
    references = item.get("ReferencedSOPSequence") or item.get("ContentSequence")
    return item.get("TextValue") or item.get("UID") or references


@pytest.mark.parametrize("row", MET, ids=lambda row: f"{row[0]} ({row[2]})")
def test_what_the_table_states_is_in_the_objects(
    row: list[str], objects: Mapping[str, Dataset]
) -> None:
    _, _, names, _, where, stated, _ = row
    for name in names.split(", "):
        concept, path = CONCEPT.fullmatch(where), where.split(" > ")
        dataset = objects[name]
        found = values_of_concept(dataset, concept) if concept else values_at(dataset, path)
        values = list(found)
        exact = re.fullmatch("`(.+)`", stated)
        if exact:
            assert exact[1] in map(str, values)
        elif stated == "as the source":
            assert any(values)
            assert values == [*values_at(objects["source"], path)]
        elif stated.startswith("empty"):
            assert len(values) == 1
            assert not values[0]
        else:
            assert values
            assert all(values)


def test_the_primitives_that_are_not_created_are_named_with_the_reason() -> None:
    unmet = [row for row in table("AIR requirement") if row[3] == "no"]
    assert {row[1] for row in unmet} == {"Locations", "Parametric maps", "Image references"}
    assert len(unmet) + len(MET) == len(table("AIR requirement"))
    assert all(row[5] for row in unmet)
