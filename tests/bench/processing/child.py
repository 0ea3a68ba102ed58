"""`python -m tests.bench.processing.child STAGE PROGRAM FOLDER`: one round of one program.

In a process of its own, whose peak of memory is that of the program. Prints seconds and MiB, and
writes what the program has found to `values.npy` in the folder.
"""

import gc
import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

from tests.bench.measurements import seconds_of
from tests.bench.processing.work import Inputs, Work


def main() -> None:
    """Runs the program on a short series, for what it does only once; then on the long one."""
    stage, program, folder = sys.argv[1:]
    by_program = getattr(import_module(f"tests.bench.processing.{stage}"), f"by_{program}")
    by_program(Inputs(Path(folder) / "warm-up")).run()
    work: Work[object] = by_program(Inputs(Path(folder)))
    # As in the inference process: else a collection examines all modules.
    gc.collect()
    gc.freeze()
    results: list[object] = []
    seconds = seconds_of(lambda: results.append(work.run()))
    figures = {"seconds": seconds, "peak_mib": work.peak_mib()}
    np.save(Path(folder) / "values.npy", work.values_of(results[0]))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
