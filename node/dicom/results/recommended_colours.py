"""The display colours that 3D Slicer and dcmqi recommend for organs, by SNOMED CT code."""

from dataclasses import replace

from models.manifest import Label, ModelSpec

# RecommendedDisplayRGBValue of "Segmentation category and type - DICOM master list".
_RECOMMENDED_RGB = {
    "10200004": (221, 130, 101),  # liver
    "78961009": (157, 108, 162),  # spleen
    "64033007": (185, 102, 83),  # kidney
    "9846003": (185, 102, 83),  # right kidney
    "18639004": (212, 126, 151),  # left kidney
    "28231008": (139, 150, 98),  # gallbladder
    "69695003": (216, 132, 105),  # stomach
    "15776009": (249, 180, 111),  # pancreas
    "15825003": (224, 97, 76),  # aorta
    "64131007": (0, 151, 206),  # inferior vena cava
}


def with_recommended_colours(spec: ModelSpec) -> ModelSpec:
    """Returns the model with recommended colours; a label without one keeps its own."""
    return replace(spec, labels=tuple(_recoloured(label) for label in spec.labels))


def _recoloured(label: Label) -> Label:
    if label.type.scheme != "SCT":
        return label
    return replace(label, display_rgb=_RECOMMENDED_RGB.get(label.type.value, label.display_rgb))
