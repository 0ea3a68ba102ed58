"""Windows: values as brightness (PS3.3 C.11.2.1), and what is no window."""

import numpy as np
import pytest

from node.dicom.display_window import DisplayWindow


@pytest.mark.parametrize(
    ("text", "values", "brightness"),
    [
        # PS3.3 C.11.2.1.2.1: 2048 values to 0 to 255.
        ("2048,4096,linear", [0, 4095, 2047.5], [0, 255, 128]),
        ("40,400,linear", [-160.5, 240.5, 39.5], [0, 255, 128]),
        ("100,1,linear", [99, 99.5, 100], [0, 0, 255]),
        ("40,400,LINEAR-EXACT", [-160, 240, 40], [0, 255, 128]),
        ("0,0.5,linear-exact", [-0.25, 0.25, 0], [0, 255, 128]),
        ("40,400,sigmoid", [40, -1e9, 1e9], [128, 0, 255]),
    ],
)
def test_values_become_brightness(text: str, values: list[float], brightness: list[int]) -> None:
    window = DisplayWindow.parse(text)
    assert window.brightness(np.array(values)).tolist() == brightness


@pytest.mark.parametrize(
    "text",
    [
        "",
        "40",
        "40,400",
        "40,400,cubic",
        "a,400,linear",
        "40,0.5,linear",
        "40,0,sigmoid",
        "nan,400,linear",
        "40,inf,linear",
        "40,400,linear,1",
    ],
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        DisplayWindow.parse(text)
