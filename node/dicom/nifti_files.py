"""NIfTI-1 files of a CT or a mask: geometry, units and a table of the labels.

The names and colours of the labels are in an extension of the file, as Connectome Workbench and
TotalSegmentator write it. A side-car beside the file has them as well, with the codes.
"""

import json
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

import highdicom as hd
import nibabel
import numpy as np

from models.data.images import stem
from models.manifest import Code, Label
from models.mask import Mask

# Extension code of XML by Caret and Connectome Workbench (NIFTI_ECODE_CARET in nifti1_io.h).
LABEL_TABLE_CODE = 30
_MAX_DESCRIPTION_BYTES = 79
_MAX_CHANNEL = 255


class Space(IntEnum):
    """What the coordinates of a file refer to: the values of qform_code and sform_code."""

    SCANNER = 1  # the patient coordinates of the DICOM images
    SAME_AS_SOURCE = 2  # those of another NIfTI file


def write_volume(
    volume: hd.Volume, path: Path, description: str, space: Space = Space.SCANNER
) -> None:
    """Writes a volume on its own axes, in mm; qform and sform are equal."""
    nibabel.save(_image(volume, description, space), path)


def write_mask(mask: Mask, path: Path, description: str, space: Space = Space.SCANNER) -> None:
    """Writes labels, unsigned 8-bit, on the axes of the mask, and `NAME.json` beside them."""
    image = _image(mask.volume.astype(np.uint8), description, space)
    image.header.set_intent("label")
    image.header.extensions.append(
        nibabel.nifti1.Nifti1Extension(LABEL_TABLE_CODE, _label_table(mask.labels))
    )
    nibabel.save(image, path)
    side_car_of(path).write_text(_side_car(mask.labels, description), encoding="utf-8")


def side_car_of(path: Path) -> Path:
    """Returns the path of the side-car of a NIfTI file: its name with the ending `.json`."""
    return path.with_name(f"{stem(path)}.json")


def _image(volume: hd.Volume, description: str, space: Space) -> nibabel.Nifti1Image:
    image = volume.to_nibabel()
    image.header.set_xyzt_units("mm")
    image.set_sform(image.affine, int(space))
    image.set_qform(image.affine, int(space))
    encoded = description.encode("ascii", "replace")[:_MAX_DESCRIPTION_BYTES]
    image.header["descrip"] = encoded
    return image


def _label_table(labels: Sequence[Label]) -> bytes:
    """Returns the label table as Connectome Workbench reads it: colours from 0 to 1."""
    root = Element("CaretExtension")
    information = SubElement(root, "VolumeInformation", {"Index": "0"})
    table = SubElement(information, "LabelTable")
    _add_label(table, 0, "???", (0, 0, 0), alpha=0)  # Workbench's name of the background
    for label in labels:
        _add_label(table, label.index, label.name, label.display_rgb, alpha=1)
    SubElement(information, "VolumeType").text = "Label"
    content: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _add_label(
    table: Element, value: int, name: str, colour: tuple[int, int, int], *, alpha: int
) -> None:
    red, green, blue = (f"{channel / _MAX_CHANNEL:.6g}" for channel in colour)
    item = SubElement(
        table,
        "Label",
        {"Key": str(value), "Red": red, "Green": green, "Blue": blue, "Alpha": str(alpha)},
    )
    item.text = name


def _side_car(labels: Sequence[Label], description: str) -> str:
    entries = [
        {
            "value": label.index,
            "name": label.name,
            "colour": "#{:02x}{:02x}{:02x}".format(*label.display_rgb),
            "category": _code(label.category),
            "type": _code(label.type),
        }
        for label in labels
    ]
    return json.dumps({"description": description, "labels": entries}, indent=1) + "\n"


def _code(code: Code) -> dict[str, str]:
    return {"value": code.value, "scheme": code.scheme, "meaning": code.meaning}
