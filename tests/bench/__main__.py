"""`make bench`: measures each stage on this machine and a reference in the same run."""

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
from models.installed_packages import find
from models.phantom import abdomen
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import write_ct_series
from node.dimse import scu
from node.domain.identifiers import AeTitle
from node.pipeline import ResultRequest, segment
from tests.bench.series_search import search_table
from tests.support.processes.listener_process import ListenerProcess

_CALLING_AE = AeTitle("BENCH")


def main() -> None:
    """Measures and prints; asserts nothing."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--slices", type=int, default=120, help="of 512 x 512 pixels")
    parser.add_argument("--series", type=int, default=100_000, help="to search; 0: do not search")
    parser.add_argument("--search-only", action="store_true", help="measure the search alone")
    arguments = parser.parse_args()
    console = Console()
    if not arguments.search_only:
        console.print(_job_table(arguments.slices))
    if arguments.series:
        console.print(search_table(arguments.series))


def _job_table(slices: int) -> Table:
    """Measures the stages of one job."""
    with tempfile.TemporaryDirectory(prefix="segnode-bench-") as folder:
        files = _series(Path(folder) / "ct", slices)
        rows = [*_receiving(files, Path(folder)), *_reading(files), *_stages(files)]
    table = Table("Stage", "Seconds", "Slices/s", "Ratio to the reference")
    for stage, seconds, reference in rows:
        ratio = f"{seconds / reference:.2f}" if reference else ""
        table.add_row(stage, f"{seconds:.2f}", f"{slices / seconds:.0f}", ratio)
    return table


def _series(folder: Path, slices: int) -> list[Path]:
    phantom = abdomen(seed=1, shape=(slices, 512, 512), spacing_mm=(2.0, 0.75, 0.75))
    return write_ct_series(phantom.volume, folder, seed=1)


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _receiving(files: list[Path], folder: Path) -> list[tuple[str, float, float]]:
    """Sends by C-STORE on one association, to the node and to Orthanc."""
    listener = ListenerProcess(folder / "node")
    try:
        remote = scu.Remote(AeTitle("SEGNODE"), "127.0.0.1", listener.port)
        node_s = _seconds(lambda: scu.send(files, remote, _CALLING_AE))
    finally:
        listener.stop()
    if orthanc_missing():
        return [("receive by C-STORE", node_s, 0.0)]
    with OrthancPacs(folder / "orthanc") as orthanc:
        orthanc_remote = scu.Remote(AeTitle(orthanc.ae_title), "127.0.0.1", orthanc.dicom_port)
        orthanc_s = _seconds(lambda: scu.send(files, orthanc_remote, _CALLING_AE))
    return [
        ("receive by C-STORE", node_s, orthanc_s),
        ("  reference: Orthanc receives the same", orthanc_s, orthanc_s),
    ]


def _reading(files: list[Path]) -> list[tuple[str, float, float]]:
    """Reads files to Hounsfield units; the reference stacks pydicom's arrays as floats."""

    def stacked() -> object:
        datasets = [dcmread(file) for file in files]
        return np.stack(
            [d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in datasets]
        )

    pydicom_s = _seconds(stacked)
    node_s = _seconds(lambda: read_series(files))
    return [
        ("read to HU", node_s, pydicom_s),
        ("  reference: pydicom arrays, stacked", pydicom_s, pydicom_s),
    ]


def _stages(files: list[Path]) -> list[tuple[str, float, float]]:
    """Measures the stages of one job; the reference is the whole job."""
    predictor = Predictor.load(find("liver-ct"))
    request = ResultRequest("bench", datetime.now(UTC))
    segment(files, predictor, request)  # warm-up: one-time loading and compilation are not measured
    timings = segment(files, predictor, request).timings_s
    total_s = sum(timings.values())
    rows = [(f"job: {stage}", max(seconds, 1e-4), total_s) for stage, seconds in timings.items()]
    return [*rows, ("  reference: the whole job", total_s, total_s)]


if __name__ == "__main__":
    main()
