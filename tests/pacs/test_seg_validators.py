"""Independent software agrees: dciodvfy finds no error, and dcmqi reads the same mask."""

import json
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame

from models.manifest import Label
from models.mask import Mask
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import write_ct_series
from node.dicom.results.transcoding import uncompressed
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid
from node.domain.job import ReplacedResult
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding
from node.pipeline import ResultRequest, SegmentationResult, segment
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    FEET_FIRST,
    Directions,
    body,
    grid,
    in_liver,
    oblique,
    voxel_positions,
)
from tests.support.dicom.builders import (
    LIVER,
    MADE_AT,
    SPLEEN,
    ThresholdSegmenter,
    ct_series,
    enhanced_ct,
    legacy_converted,
    model_spec,
)
from tests.support.dicom.results import content_of, encoded_seg
from tests.support.shared_data import ct_files
from tests.support.validators import dciodvfy_reports, program, saved, unlisted_reports

ORIENTATIONS = [
    pytest.param(AXIAL, id="axial"),
    pytest.param(FEET_FIRST, id="feet-first"),
    pytest.param(CORONAL, id="coronal"),
    pytest.param(oblique(), id="oblique"),
]
ENCODINGS = pytest.mark.parametrize("encoding", SegEncoding)
REQUEST = ResultRequest("job", MADE_AT, replaces=ReplacedResult(Uid("1.2.3.4"), 12, "0.1.0"))


def saved_seg(result: SegmentationResult, encoding: SegEncoding, folder: Path) -> Path:
    """Writes the SEG of the result in that encoding to the folder."""
    return saved(encoded_seg(result.content, encoding), folder / "seg.dcm")


def unexpected(
    result: SegmentationResult, encoding: SegEncoding, folder: Path, *, poor_source: bool = False
) -> list[str]:
    """What dciodvfy reports for the SEG and the conformance statement does not list."""
    name = ResultObject(ResultKind.SEG, encoding).name
    return unlisted_reports(saved_seg(result, encoding, folder), name, poor_source=poor_source)


def read_by_dcmqi(seg: Path) -> list[tuple[NDArray[np.integer], NDArray[np.float64]]]:
    """The labels and the positions (LPS, mm) of the voxels of each image that dcmqi makes of it."""
    tool = program("segimage2itkimage", "pip install dcmqi")
    folder = seg.parent
    done = subprocess.run(
        [tool, "--inputDICOM", seg, "--outputDirectory", folder, "-t", "nii", "-p", "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    images = []
    for path in sorted(folder.glob("out-*.nii.gz")):
        image = nibabel.load(path)
        labels = np.asarray(image.dataobj)
        to_lps = np.diag([-1, -1, 1, 1]) @ image.affine
        index = np.stack(np.meshgrid(*(np.arange(n) for n in labels.shape), indexing="ij"), axis=-1)
        images.append((labels, index @ to_lps[:3, :3].T + to_lps[:3, 3]))
    return images


def result_of(paths: list[Path], labels: tuple[Label, ...] = (LIVER,)) -> SegmentationResult:
    return segment(paths, ThresholdSegmenter(model_spec(labels=labels)), REQUEST)


@pytest.mark.parametrize("directions", ORIENTATIONS)
@pytest.mark.parametrize("labels", [(LIVER,), (LIVER, SPLEEN)], ids=["one label", "two labels"])
@ENCODINGS
def test_dciodvfy_finds_nothing_unexpected_in_a_seg(
    directions: Directions, labels: tuple[Label, ...], encoding: SegEncoding, tmp_path: Path
) -> None:
    result = result_of(ct_series(directions).write(tmp_path / "ct"), labels)
    assert unexpected(result, encoding, tmp_path) == []


@pytest.mark.parametrize("jitter_mm", [0.0, 0.4])
@ENCODINGS
def test_dciodvfy_finds_nothing_unexpected_in_the_seg_of_a_tilted_series(
    jitter_mm: float, encoding: SegEncoding, tmp_path: Path
) -> None:
    result = result_of(ct_series(tilt_degrees=18.5, jitter_mm=jitter_mm).write(tmp_path / "ct"))
    assert result.content.source.grid.is_sheared
    assert unexpected(result, encoding, tmp_path) == []


@pytest.mark.parametrize("source_type", ["enhanced", "legacy converted"])
@ENCODINGS
def test_dciodvfy_finds_nothing_unexpected_in_the_seg_of_a_multi_frame_ct(
    source_type: str, encoding: SegEncoding, tmp_path: Path
) -> None:
    source = enhanced_ct(oblique()) if source_type == "enhanced" else legacy_converted(ct_series())
    result = result_of([saved(source, tmp_path / "ct.dcm")])
    assert unexpected(result, encoding, tmp_path) == []


@ENCODINGS
def test_dciodvfy_finds_nothing_unexpected_in_the_seg_of_a_resampled_ct(
    encoding: SegEncoding, tmp_path: Path
) -> None:
    thin = grid(slices=60, spacing_mm=(2.5, 3.0, 3.0))
    result = result_of(ct_series(geometry=thin, jitter_mm=0.2).write(tmp_path / "ct"))
    assert result.content.source.is_resampled
    assert unexpected(result, encoding, tmp_path) == []


def test_dciodvfy_finds_nothing_unexpected_in_an_uncompressed_label_map(tmp_path: Path) -> None:
    result = result_of(ct_series().write(tmp_path / "ct"), (LIVER, SPLEEN))
    plain = uncompressed(encoded_seg(result.content, SegEncoding.LABELMAP))
    assert unlisted_reports(saved(plain, tmp_path / "seg.dcm"), "seg-labelmap") == []


@ENCODINGS
def test_dciodvfy_finds_nothing_unexpected_in_the_seg_of_a_real_ct(
    encoding: SegEncoding, tmp_path: Path
) -> None:
    result = result_of(ct_files("chaos-set3"))
    assert unexpected(result, encoding, tmp_path, poor_source=True) == []


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_dciodvfy_finds_no_error_in_our_ct(directions: Directions, tmp_path: Path) -> None:
    for path in write_ct_series(body(grid(directions, slices=2)), tmp_path):
        assert [line for line in dciodvfy_reports(path) if line.startswith("Error")] == []


@pytest.mark.parametrize("directions", ORIENTATIONS)
@ENCODINGS
def test_dcmqi_reads_the_mask_where_the_liver_is(
    directions: Directions, encoding: SegEncoding, tmp_path: Path
) -> None:
    result = result_of(ct_series(directions).write(tmp_path / "ct"))
    labels, positions = read_by_dcmqi(saved_seg(result, encoding, tmp_path))[0]
    truth = in_liver(positions)
    assert np.count_nonzero(labels) == np.count_nonzero(result.content.mask.of(LIVER))
    # Only voxels whose centre is on the surface of the liver may differ.
    assert np.count_nonzero((labels > 0) != truth) <= 2
    meta = json.loads((tmp_path / "out-meta.json").read_text())
    segments = [attributes for group in meta["segmentAttributes"] for attributes in group]
    (described,) = segments  # without the background of a label map
    assert described["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == "10200004"
    assert described["SegmentAlgorithmName"] == "liver-test"


@ENCODINGS
def test_dcmqi_reads_every_voxel_of_two_organs(encoding: SegEncoding, tmp_path: Path) -> None:
    series = read_series(ct_series(oblique()).write(tmp_path / "ct"))
    points = voxel_positions(series.volume)
    values = in_liver(points).astype(np.uint8)
    values[in_liver(points) & (points[..., 2] > 14)] = SPLEEN.index
    mask = Mask(volume=series.volume.with_array(values), labels=(LIVER, SPLEEN))
    seg = saved(encoded_seg(content_of(series, mask), encoding), tmp_path / "seg.dcm")
    to_index = np.linalg.inv(series.volume.affine)
    read = np.zeros(values.shape, dtype=np.uint8)
    for labels, positions in read_by_dcmqi(seg):
        indices = positions[labels > 0] @ to_index[:3, :3].T + to_index[:3, 3]
        assert np.allclose(indices, np.rint(indices), atol=1e-3)
        read[tuple(np.rint(indices).astype(int).T)] = labels[labels > 0]
    assert (read == values).all()


@pytest.mark.parametrize(
    ("tool", "options"),
    [
        pytest.param("dcmcjpeg", ["+e1"], id="JPEG lossless, selection value 1"),
        pytest.param("dcmcjpeg", ["+el"], id="JPEG lossless"),
        pytest.param("dcmcjpls", [], id="JPEG-LS lossless"),
        pytest.param("dcmcrle", [], id="RLE"),
    ],
)
def test_series_compressed_losslessly_by_dcmtk_are_read_identically(
    tool: str, options: list[str], tmp_path: Path
) -> None:
    encoder = program(tool, "apt-get install dcmtk")
    plain = ct_series().write(tmp_path / "plain")
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in plain:
        # "+uc" would assign new UIDs; the test needs the same instance.
        subprocess.run([encoder, *options, path, packed / path.name], check=True)
    compressed = sorted(packed.iterdir())
    assert dcmread(compressed[0]).file_meta.TransferSyntaxUID.is_compressed
    one, other = result_of(plain), result_of(compressed)
    assert (one.content.source.volume.array == other.content.source.volume.array).all()
    assert (one.content.mask.volume.array == other.content.mask.volume.array).all()


@pytest.mark.parametrize(
    ("tool", "options"),
    [
        pytest.param("dcmcjpeg", ["+e1"], id="JPEG lossless"),
        pytest.param("dcmcjpls", [], id="JPEG-LS lossless"),
    ],
)
def test_a_truncated_jpeg_stream_is_refused(tool: str, options: list[str], tmp_path: Path) -> None:
    encoder = program(tool, "apt-get install dcmtk")
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in ct_series(geometry=grid(slices=12, rows=200)).write(tmp_path / "plain"):
        subprocess.run([encoder, *options, path, packed / path.name], check=True)
    compressed = sorted(packed.iterdir())
    damaged = dcmread(compressed[4])
    stream = get_frame(damaged.PixelData, 0, number_of_frames=1)
    damaged.PixelData = encapsulate([stream[: len(stream) // 4 * 2]])
    damaged.save_as(compressed[4])
    with pytest.raises(Rejected, match="did not arrive whole") as caught:
        result_of(compressed)
    assert caught.value.reason is RejectionReason.UNREADABLE
