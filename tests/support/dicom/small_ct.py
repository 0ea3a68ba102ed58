"""A small CT series for tests of its transport and storage, not of its content."""

from pydicom.uid import ExplicitVRLittleEndian

from node.dicom.ct_writer import CtDescription
from tests.support.dicom.body import grid
from tests.support.dicom.builders import CtFiles, ct_series

SLICES = 8
_GRID = grid(slices=SLICES, rows=40, columns=48, spacing_mm=(14.0, 3.0, 3.0))


def small_ct(transfer_syntax_uid: str = ExplicitVRLittleEndian) -> CtFiles:
    """Builds a series of `SLICES` slices, 40 × 48 pixels, of a fictitious patient."""
    description = CtDescription(patient_name="Roe^Richard", patient_id="P-17")
    return ct_series(
        geometry=_GRID, description=description, transfer_syntax_uid=transfer_syntax_uid
    )
