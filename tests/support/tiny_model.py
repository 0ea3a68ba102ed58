"""A model that trains within seconds and runs in less than one, and a scan for it."""

from pathlib import Path

from highdicom import Volume

from models.packaging import PackageOptions, from_run
from models.phantom import abdomen
from models.training.config_file import load_config
from models.training.loop import RunOptions, train
from tests.support.dicom.labelled_cases import SHAPE, SPACING_MM, write_cases, write_config

TINY = "tiny-liver"


def tiny_catalogue(folder: Path) -> Path:
    """Trains the model in `folder`; returns the catalogue with its package."""
    write_cases(folder)
    config = load_config(write_config(folder / "config.toml", steps=40, every=20))
    train(config, RunOptions(folder, folder / "run", "cpu"))
    options = PackageOptions(TINY, "1.0.0", "A liver for tests", min_slices=5, min_extent_mm=20.0)
    from_run(folder / "run", folder / "catalogue" / TINY, options)
    return folder / "catalogue"


def tiny_scan() -> Volume:
    """Returns a body of 24 slices of 36 x 48 pixels in which the model finds a liver."""
    return abdomen(8, spacing_mm=SPACING_MM, shape=SHAPE).volume
