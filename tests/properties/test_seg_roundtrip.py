"""A SEG that is read back equals its mask for any orientation, spacing, size and mask."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import highdicom as hd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.mask import Mask
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.domain.result_objects import SegEncoding
from tests.support.dicom.body import grid, oblique
from tests.support.dicom.builders import LIVER, SPLEEN
from tests.support.dicom.results import content_of, encoded_seg, part10

_degrees = st.floats(-180, 180, allow_nan=False).map(lambda value: round(value, 2))
_spacing = st.floats(0.4, 6.0).map(lambda value: round(value, 3))
_coordinate = st.floats(-900, 900).map(lambda value: round(value, 2))


@st.composite
def geometries(draw: st.DrawFn) -> hd.VolumeGeometry:
    """Draws anisotropic grids in any rotation and position."""
    return grid(
        oblique(draw(_degrees), draw(_degrees), draw(_degrees)),
        slices=draw(st.integers(2, 9)),
        # highdicom 0.28 packs frames of fewer than 8 pixels wrongly; no CT is that small.
        rows=draw(st.integers(3, 13)),
        columns=draw(st.integers(3, 13)),
        spacing_mm=(draw(_spacing), draw(_spacing), draw(_spacing)),
        centre=(draw(_coordinate), draw(_coordinate), draw(_coordinate)),
    )


# RLE may make a frame of a few pixels as long as it is, about which pydicom warns.
@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    geometry=geometries(),
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0, 0.1, 1]),
    first_slice=st.integers(0, 8),
    encoding=st.sampled_from(SegEncoding),
)
def test_a_seg_read_back_equals_the_mask(
    geometry: hd.VolumeGeometry, seed: int, share: float, first_slice: int, encoding: SegEncoding
) -> None:
    random = np.random.default_rng(seed)
    shape = geometry.spatial_shape
    hu = geometry.with_array(random.integers(-1024, 3000, shape).astype(np.int16))
    labels = (LIVER, SPLEEN)[: 1 + seed % 2]
    values = random.integers(1, len(labels), shape, endpoint=True) * (random.random(shape) < share)
    values[:first_slice] = 0  # empty slices at one end, which the sparse encoding omits
    with TemporaryDirectory() as folder:
        paths = write_ct_series(hu, Path(folder), CtDescription(seed=str(seed)))
        series = read_series(paths)
    assert (series.volume.match_geometry(geometry).array == hu.array).all()
    mask = Mask(
        volume=geometry.with_array(values.astype(np.uint8)).match_geometry(
            series.volume.get_geometry()
        ),
        labels=labels,
    )
    dataset = encoded_seg(content_of(series, mask, job_id=str(seed)), encoding)
    seg = hd.seg.segread(BytesIO(part10(dataset)))
    for k, source in enumerate(series.sources):
        # Also the slices without a frame are part of the volume that the references span.
        pixels = seg.get_pixels_by_source_instance(
            [source.SOPInstanceUID],
            combine_segments=True,
            ignore_spatial_locations=True,
            assert_missing_frames_are_empty=True,
        )
        assert (pixels[0] == mask.volume.array[k]).all()
    back = seg.get_volume(combine_segments=True, allow_missing_positions=True)
    whole = back.match_geometry(geometry)  # pads with 0 where the sparse encoding has no frames
    assert (whole.array == values).all()
