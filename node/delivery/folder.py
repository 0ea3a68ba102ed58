"""A destination that is a folder, with files `<study>/<series>/<instance>.dcm`."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from node.delivery.destination import ResultFile
from node.domain.delivery import Receipt
from node.domain.errors import Transient
from node.store.files.durable import durable_file


@dataclass(frozen=True)
class Folder:
    """A local or mounted folder; a file under its final name is always complete."""

    name: str
    path: Path

    def deliver(self, result: ResultFile) -> Receipt:
        """See `Destination.deliver`."""
        target = (
            self.path
            / result.study_instance_uid
            / result.series_instance_uid
            / f"{result.sop_instance_uid}.dcm"
        )
        try:
            with result.path.open("rb") as source, durable_file(target) as file:
                shutil.copyfileobj(source, file)
        except OSError as error:
            raise Transient(
                f"the folder {self.path} cannot be written: {error.strerror or error}"
            ) from error
        return Receipt(self.name, str(target))
