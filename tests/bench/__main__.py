"""`make bench`: the time of each stage on this machine, beside a yardstick of the same run."""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydicom import dcmread
from rich.console import Console
from rich.table import Table

from models.inference.predictor import Predictor
from models.phantom import abdomen
from models.registry import find
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import write_ct_series
from node.dicom.results.segmentation import SegOptions
from node.dimse import scu
from node.domain.identifiers import AeTitle
from node.domain.job import result_identity
from node.pipeline import ResultRequest, segment
from tests.support.processes.listener_process import ListenerProcess

_CALLING = AeTitle("BENCH")


def main() -> None:
    """Measure and print; nothing is asserted."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--slices", type=int, default=120, help="of 512 x 512 pixels")
    slices = parser.parse_args().slices
    console = Console()
    with tempfile.TemporaryDirectory(prefix="segnode-bench-") as folder:
        files = _series(Path(folder) / "ct", slices)
        rows = [*_reception(files, Path(folder)), *_reading(files), *_pipeline(files)]
    table = Table("Stage", "Seconds", "Slices/s", "Ratio to the yardstick")
    for stage, seconds, yardstick in rows:
        ratio = f"{seconds / yardstick:.2f}" if yardstick else ""
        table.add_row(stage, f"{seconds:.2f}", f"{slices / seconds:.0f}", ratio)
    console.print(table)


def _series(folder: Path, slices: int) -> list[Path]:
    phantom = abdomen(seed=1, shape=(slices, 512, 512), spacing_mm=(2.0, 0.75, 0.75))
    return write_ct_series(phantom.volume, folder, seed=1)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _reception(files: list[Path], folder: Path) -> list[tuple[str, float, float]]:
    """C-STORE on one association, into the node and into Orthanc."""
    listener = ListenerProcess(folder / "node")
    try:
        remote = scu.Remote(AeTitle("SEGNODE"), "127.0.0.1", listener.port)
        ours = _timed(lambda: scu.send(files, remote, _CALLING))
    finally:
        listener.stop()
    if orthanc_missing():
        return [("receive by C-STORE", ours, 0.0)]
    with OrthancPacs(folder / "orthanc") as orthanc:
        other = scu.Remote(AeTitle(orthanc.ae_title), "127.0.0.1", orthanc.dicom_port)
        theirs = _timed(lambda: scu.send(files, other, _CALLING))
    return [
        ("receive by C-STORE", ours, theirs),
        ("  yardstick: Orthanc receives the same", theirs, theirs),
    ]


def _reading(files: list[Path]) -> list[tuple[str, float, float]]:
    """Files to Hounsfield units, beside pydicom's arrays stacked in floating point."""

    def stacked() -> object:
        datasets = [dcmread(file) for file in files]
        return np.stack(
            [d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in datasets]
        )

    theirs = _timed(stacked)
    ours = _timed(lambda: read_series(files))
    return [
        ("read to HU", ours, theirs),
        ("  yardstick: pydicom arrays, stacked", theirs, theirs),
    ]


def _pipeline(files: list[Path]) -> list[tuple[str, float, float]]:
    """The stages of one job, each beside the whole job."""
    predictor = Predictor.load(find("liver-ct"))
    request = ResultRequest(
        identity=result_identity("bench"), options=SegOptions(), made_at=datetime.now(UTC)
    )
    segment(files, predictor, request)  # what is loaded and compiled once is not measured
    timings = segment(files, predictor, request).timings_s
    whole = sum(timings.values())
    rows = [(f"job: {stage}", max(seconds, 1e-4), whole) for stage, seconds in timings.items()]
    return [*rows, ("  yardstick: the whole job", whole, whole)]


if __name__ == "__main__":
    main()
