"""Captions below a picture are never cut at its edge."""

from dataclasses import replace

import numpy as np
import pytest

from models.measurement import Measurement, measure
from node.dicom.results.pages.captions import Caption, caption_strip
from node.dicom.results.pages.organ_texts import attenuation_text, volume_text
from tests.support.dicom.body import body, grid
from tests.support.dicom.builders import ThresholdSegmenter

_ORGANS = [
    Caption(f"{name} at least {1523 + k} mL", (200, 10 * k, 30))
    for k, name in enumerate(
        ("Liver", "Spleen", "Right kidney", "Left kidney", "Inferior vena cava", "Leber ä")
    )
]


@pytest.mark.parametrize("width_px", range(96, 560, 16))
def test_every_caption_is_drawn_whole(width_px: int) -> None:
    strip = np.asarray(caption_strip([Caption("Not for diagnostic use"), *_ORGANS], width_px, 14))
    assert strip.shape[1] == width_px
    assert not strip[:, -3:].any()
    assert not strip[-2:].any()
    for caption in _ORGANS:
        assert np.count_nonzero((strip == caption.rgb).all(axis=-1)) >= 80


def measurement(volume_ml: float, mean_hu: float | None, *, cut: bool) -> Measurement:
    volume = body(grid())
    liver = measure(volume, ThresholdSegmenter().predict(volume))["Liver"]
    return replace(liver, volume_ml=volume_ml, mean_hu=mean_hu, cut_by_series=cut)


def test_an_organ_at_the_edge_of_the_images_has_at_least_its_volume() -> None:
    at_edge = replace(measurement(500.0, 50.0, cut=False), touches_field_of_view=True)
    assert volume_text(at_edge) == "at least 500 mL"


@pytest.mark.parametrize(
    ("measured", "volume", "attenuation"),
    [
        (measurement(1523.4, 104.4, cut=False), "1523 mL", "104 HU"),
        (measurement(1523.4, -12.6, cut=True), "at least 1523 mL", "-13 HU"),
        (measurement(8.04, 5.0, cut=False), "8.0 mL", "5 HU"),
        (measurement(0.0, None, cut=False), "not found", "not measured"),
    ],
)
def test_measurements_in_words(measured: Measurement, volume: str, attenuation: str) -> None:
    assert volume_text(measured) == volume
    assert attenuation_text(measured) == attenuation
