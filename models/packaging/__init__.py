"""Creates a model package from a trained network."""

from models.packaging.bundle import from_bundle
from models.packaging.package import PackageOptions, from_program, from_run

__all__ = ["PackageOptions", "from_bundle", "from_program", "from_run"]
