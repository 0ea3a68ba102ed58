"""Series description, series number and content label of every result object."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from models.manifest import Code, Label
from models.mask import Mask
from models.measurement import Measurement
from node.dicom.ct.reader import read_series
from node.dicom.results.content import ResultContent
from node.dicom.results.series_texts import content_label, series_description, series_number
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding
from node.domain.texts.result_texts import ResultTexts, SeriesNumberRule
from tests.support.dicom.builders import LIVER, ct_series, model_spec
from tests.support.dicom.results import content_of, with_source_series

SEG = ResultObject(ResultKind.SEG)
SR = ResultObject(ResultKind.SR)
KINDS = [kind for kind in ResultKind if kind is not ResultKind.REPORT]  # no DICOM object
OBJECTS = sorted({ResultObject.of(kind, each) for kind in KINDS for each in SegEncoding})
NINE = (
    "Liver",
    "Spleen",
    "Right kidney",
    "Left kidney",
    "Gallbladder",
    "Stomach",
    "Pancreas",
    "Aorta",
    "Inferior vena cava",
)


@pytest.fixture(scope="module")
def liver(tmp_path_factory: pytest.TempPathFactory) -> ResultContent:
    """The result of liver-ct 0.3.0 for series 4, "Abdomen KM"."""
    series = read_series(ct_series().write(tmp_path_factory.mktemp("ct")))
    content = with_source_series(content_of(series), 4, "Abdomen KM")
    return replace(content, spec=replace(content.spec, model_id="liver-ct", version="0.3.0"))


def of_organs(content: ResultContent, *names: str, absent: tuple[str, ...] = ()) -> ResultContent:
    """Returns the content as of a model that finds these organs."""
    code = Code("1", "99TEST", "organ")
    labels = tuple(Label(k, name, code, code, (1, 2, 3)) for k, name in enumerate(names, start=1))
    measured = {
        name: Measurement(0.0 if name in absent else 10.0, None, cut_by_series=False)
        for name in names
    }
    spec = replace(model_spec(labels=labels), model_id="organs-ct", version="0.2.0")
    mask = Mask(volume=content.mask.volume, labels=labels)
    return replace(content, spec=spec, mask=mask, measurements=measured)


def with_texts(content: ResultContent, template: str) -> ResultContent:
    return replace(content, texts=ResultTexts(series_description=template))


def test_the_seg_names_organ_model_and_source(liver: ResultContent) -> None:
    assert series_description(liver, SEG) == "Liver, liver-ct 0.3.0 (S4 Abdomen KM)"


@pytest.mark.parametrize(
    ("number", "description", "expected"),
    [
        (None, "Abdomen KM", "Liver, liver-ct 0.3.0 (Abdomen KM)"),
        (4, None, "Liver, liver-ct 0.3.0 (S4)"),
        (4, "", "Liver, liver-ct 0.3.0 (S4)"),
        (None, None, "Liver, liver-ct 0.3.0"),
        (0, "a", "Liver, liver-ct 0.3.0 (S0 a)"),
        (4, "  two\tparts  ", "Liver, liver-ct 0.3.0 (S4 two parts)"),
        (4, "kontrast {organs}", "Liver, liver-ct 0.3.0 (S4 kontrast {organs})"),
        (4, "(portal)", "Liver, liver-ct 0.3.0 (S4 (portal))"),
    ],
)
def test_a_missing_part_of_the_source_leaves_no_trace(
    liver: ResultContent, number: int | None, description: str | None, expected: str
) -> None:
    assert series_description(with_source_series(liver, number, description), SEG) == expected


def test_a_source_description_with_backslashes_becomes_one_value(liver: ResultContent) -> None:
    content = with_source_series(liver, 4, MultiValue(str, ["Abdomen", "KM"]))
    assert series_description(content, SEG) == "Liver, liver-ct 0.3.0 (S4 Abdomen KM)"


@pytest.mark.filterwarnings("ignore:Invalid value for VR IS")
def test_a_source_number_that_cannot_be_read_counts_as_missing(liver: ResultContent) -> None:
    header = deepcopy(liver.source.sources[0])
    tag = Tag("SeriesNumber")
    header[tag] = RawDataElement(tag, "IS", 4, b"four", 0, False, True)
    source = replace(liver.source, sources=(header, *liver.source.sources[1:]))
    content = replace(liver, source=source)
    assert series_description(content, SEG) == "Liver, liver-ct 0.3.0 (Abdomen KM)"
    assert series_number(content, SEG) == 900


def test_up_to_three_organs_are_listed(liver: ResultContent) -> None:
    content = of_organs(liver, "Liver", "Spleen", "Aorta")
    expected = "Liver, Spleen, Aorta, organs-ct 0.2.0 (S4 Abdomen KM)"
    assert series_description(content, SEG) == expected


def test_many_organs_are_abbreviated(liver: ResultContent) -> None:
    text = series_description(of_organs(liver, *NINE), SEG)
    assert text == "Liver, Spleen and 7 more, organs-ct 0.2.0 (S4 Abdomen KM)"


def test_an_organ_that_was_not_found_is_not_named(liver: ResultContent) -> None:
    content = of_organs(liver, "Liver", "Spleen", absent=("Liver",))
    assert series_description(content, SEG) == "Spleen, organs-ct 0.2.0 (S4 Abdomen KM)"


def test_a_long_text_is_cut_after_a_word_and_its_bracket_closed(liver: ResultContent) -> None:
    content = of_organs(with_source_series(liver, 4, "Thorax Abdomen portal venous"), *NINE)
    text = series_description(content, SEG)
    assert text == "Liver, Spleen and 7 more, organs-ct 0.2.0 (S4 Thorax Abdomen)"
    measurements = series_description(content, SR)
    assert measurements == "Measurements: Liver, Spleen and 7 more, organs-ct 0.2.0 (S4)"


@pytest.mark.parametrize("length", range(1, 65, 7))
def test_no_description_is_longer_than_a_long_string(liver: ResultContent, length: int) -> None:
    for word in ("x" * length, ("ab " * length)[:length]):
        for each in OBJECTS:
            text = series_description(with_source_series(liver, 4, word), each)
            assert 0 < len(text) <= 64
            assert text.count("(") >= text.count(")")
            assert "  " not in text


def test_kinds_of_object_differ_in_the_series_list(liver: ResultContent) -> None:
    texts = {kind: series_description(liver, ResultObject(kind)) for kind in KINDS}
    assert len(set(texts.values())) == len(KINDS)
    assert texts[ResultKind.SR] == "Measurements: Liver, liver-ct 0.3.0 (S4 Abdomen KM)"
    assert texts[ResultKind.CAPTURE].startswith("Overlay: Liver")


def test_a_template_decides_where_the_kind_of_object_goes(liver: ResultContent) -> None:
    content = with_texts(liver, "AI {organs} [{object}]")
    assert series_description(content, SEG) == "AI Liver [Segmentation]"
    assert series_description(content, SR) == "AI Liver [Measurements]"


def test_a_description_without_fields_is_used_as_it_is(liver: ResultContent) -> None:
    content = with_texts(liver, "Leber, nicht für die Diagnose")
    assert series_description(content, SEG) == "Leber, nicht für die Diagnose"
    assert series_description(content, SR) == "Measurements: Leber, nicht für die Diagnose"


def test_the_series_number_is_900_plus_that_of_the_source(liver: ResultContent) -> None:
    assert series_number(liver, SEG) == 904
    assert series_number(with_source_series(liver, None, "x"), SEG) == 900


def test_every_object_of_every_model_has_its_own_number(liver: ResultContent) -> None:
    texts = ResultTexts(models=("liver-ct", "organs-ct"))
    contents = [
        replace(with_source_series(of_model, number), texts=texts)
        for of_model in (liver, of_organs(liver, *NINE))
        for number in (1, 2, 301, 9000)
    ]
    numbers = [series_number(content, each) for content in contents for each in OBJECTS]
    assert len(set(numbers)) == len(numbers) == 8 * len(OBJECTS)
    assert series_number(contents[4], SEG) == 1_000_901


def test_a_fixed_number_stays_for_the_seg(liver: ResultContent) -> None:
    texts = ResultTexts(series_number=SeriesNumberRule.parse(900), models=("other", "liver-ct"))
    content = replace(liver, texts=texts)
    assert series_number(content, SEG) == 900
    assert series_number(content, SR) == 10_900


@pytest.mark.parametrize("source", [2**31 - 1, 2**31 - 5000, -4])
def test_a_number_stays_within_an_integer_string(liver: ResultContent, source: int) -> None:
    content = with_source_series(liver, source)
    numbers = {series_number(content, each) for each in OBJECTS}
    assert all(0 <= number < 2**31 for number in numbers)
    assert len(numbers) == len(OBJECTS)


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (("Liver",), "LIVER"),
        (("Liver", "Spleen"), "LIVER_SPLEEN"),
        (("Liver", "Right kidney", "Aorta"), "LIVER_AND_2"),
        (NINE, "LIVER_AND_8"),
        (("Inferior vena cava",), "INFERIOR_VENA"),
        (("Inferior vena cava", "Aorta"), "INFERIOR_AND_1"),
        (("Gastroduodenaljunction",), "GASTRODUODENALJU"),
        (("Leber (links)",), "LEBER_LINKS"),
        (("肝臓",), "SEGMENTATION"),
    ],
)
def test_the_content_label_names_the_organs_as_a_code_string(
    liver: ResultContent, names: tuple[str, ...], label: str
) -> None:
    assert content_label(of_organs(liver, *names)) == label
    assert len(label) <= 16


def test_the_label_of_the_phantom_is_its_organ(tmp_path: Path) -> None:
    content = content_of(read_series(ct_series().write(tmp_path)))
    assert content_label(content) == LIVER.name.upper()
