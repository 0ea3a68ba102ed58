"""`make bench`: measures each stage on this machine and a reference in the same run."""

import argparse
import gc
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydicom import dcmread
from rich.console import Console
from rich.table import Table

from models.inference.predictor import Predictor
from models.installed_packages import find
from models.phantom import abdomen
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import write_ct_series
from node.pipeline import ResultRequest, segment
from tests.bench.measurements import Measurement, report_of, seconds_of, seconds_table
from tests.bench.processing.measure import measure_processing, processing_table
from tests.bench.reception import WARM_UP_FILES, measure_reception, reception_table
from tests.bench.series_search import search_table
from tests.bench.startup import SLICES as STARTUP_SLICES
from tests.bench.startup import measure_startup
from tests.bench.time_to_result import measure_time_to_result
from tests.bench.training import measure_training, training_table
from tests.support.prepared.starting import REAL_STARTS

_RECEPTION, _STAGES, _TRAINING, _SEARCH = "reception", "stages", "training", "search"
_RESULT, _STARTUP, _PROCESSING = "result", "startup", "processing"
_PARTS = (_RECEPTION, _STAGES, _PROCESSING, _RESULT, _STARTUP, _TRAINING, _SEARCH)
_TRAINING_STEPS = 10


def main() -> None:
    """Measures and prints; asserts nothing."""
    os.environ[REAL_STARTS] = "1"
    arguments = _arguments()
    parts = _PARTS if arguments.only is None else (arguments.only,)
    console, found = Console(), list[Measurement]()
    with tempfile.TemporaryDirectory(prefix="segnode-bench-") as folder:
        found += _measure_on_series(parts, arguments, Path(folder), console)
    if _TRAINING in parts:
        trained = measure_training(arguments.rounds, _TRAINING_STEPS)
        console.print(training_table(trained))
        found += trained
    if _SEARCH in parts and arguments.series:
        console.print(search_table(arguments.series))
    if arguments.json is not None:
        report_of(found, datetime.now(UTC)).write(arguments.json)


def _measure_on_series(
    parts: Sequence[str], arguments: argparse.Namespace, folder: Path, console: Console
) -> list[Measurement]:
    """Measures the parts that need CT images, which it writes to the folder."""
    found = list[Measurement]()
    if _RECEPTION in parts:
        files = _series(folder / "reception", arguments.slices, seed=2)
        warm_up = _series(folder / "warm-up", WARM_UP_FILES, seed=3)
        found += measure_reception(files, warm_up, arguments.rounds, arguments.listener)
        console.print(reception_table(found))
    if _STAGES in parts:
        files = _series(folder / "ct", arguments.slices)
        console.print(_job_table(files))
    if _PROCESSING in parts:
        processed = measure_processing(folder / "processing", arguments.slices, arguments.rounds)
        console.print(processing_table(processed))
        found += processed
    if _RESULT in parts:
        series = _several_series(folder / "result", arguments.slices, arguments.rounds)
        in_time = measure_time_to_result(series)
        console.print(seconds_table("Time to result", in_time))
        found += in_time
    if _STARTUP in parts:
        files = _series(folder / "startup", STARTUP_SLICES)
        started = measure_startup(files, arguments.rounds)
        console.print(seconds_table("Start", started))
        found += started
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--slices", type=int, default=400, help="of 512 x 512 pixels")
    parser.add_argument("--rounds", type=int, default=3, help="of all but stages and search")
    parser.add_argument("--listener", default="", help="lines for [listener] of the node")
    parser.add_argument("--series", type=int, default=100_000, help="to search; 0: do not search")
    parser.add_argument("--only", choices=_PARTS, help="measure this alone")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


def _job_table(files: list[Path]) -> Table:
    """Measures the stages of one job."""
    slices = len(files)
    rows = [*_reading(files), *_stages(files)]
    table = Table("Stage", "Seconds", "Slices/s", "Ratio to the reference")
    for stage, seconds, reference in rows:
        ratio = f"{seconds / reference:.2f}" if reference else ""
        table.add_row(stage, f"{seconds:.2f}", f"{slices / seconds:.0f}", ratio)
    return table


def _series(folder: Path, slices: int, seed: int = 1) -> list[Path]:
    phantom = abdomen(seed=seed, shape=(slices, 512, 512), spacing_mm=(2.0, 0.75, 0.75))
    return write_ct_series(phantom.volume, folder, seed=seed)


def _several_series(folder: Path, slices: int, rounds: int) -> list[list[Path]]:
    """Writes a series for each round, and the one before the first."""
    phantom = abdomen(seed=1, shape=(slices, 512, 512), spacing_mm=(2.0, 0.75, 0.75))
    return [
        write_ct_series(phantom.volume, folder / str(seed), seed=seed) for seed in range(rounds + 1)
    ]


def _reading(files: list[Path]) -> list[tuple[str, float, float]]:
    """Reads files to Hounsfield units; the reference stacks pydicom's arrays as floats."""

    def stacked() -> object:
        datasets = [dcmread(file) for file in files]
        return np.stack(
            [d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in datasets]
        )

    pydicom_s = seconds_of(stacked)
    node_s = seconds_of(lambda: read_series(files))
    return [
        ("read to HU", node_s, pydicom_s),
        ("  reference: pydicom arrays, stacked", pydicom_s, pydicom_s),
    ]


def _stages(files: list[Path]) -> list[tuple[str, float, float]]:
    """Measures the stages of one job; the reference is the whole job."""
    predictor = Predictor.load(find("liver-ct"))
    request = ResultRequest("bench", datetime.now(UTC))
    segment(files, predictor, request)  # warm-up: one-time loading and compilation are not measured
    # As in the inference process: else a collection examines all modules during some stage.
    gc.collect()
    gc.freeze()
    timings = segment(files, predictor, request).timings_s
    total_s = sum(timings.values())
    rows = [(f"job: {stage}", max(seconds, 1e-4), total_s) for stage, seconds in timings.items()]
    return [*rows, ("  reference: the whole job", total_s, total_s)]


if __name__ == "__main__":
    main()
