"""A destination that is a folder, with files `<study>/<series>/<instance>.dcm`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.delivery.destination import ResultFile
from node.domain.delivery import Receipt
from node.domain.errors import Transient
from node.store.files.access import Readers
from node.store.files.durable import durable_file


@dataclass(frozen=True)
class Folder:
    """A local or mounted folder; a file under its final name is always complete.

    With `deflated`, segmentations of single bits are deflated. `readers` are those of new files and
    folders.
    """

    name: str
    path: Path
    deflated: bool = False
    readers: Readers = Readers.ALL

    def deliver(self, instances: Sequence[ResultFile]) -> Receipt:
        """See `Destination.deliver`."""
        targets = [self._copy(instance) for instance in instances]
        if len(targets) == 1:
            return Receipt(self.name, str(targets[0]))
        return Receipt(self.name, f"{len(targets)} images in {targets[0].parent}")

    def _copy(self, instance: ResultFile) -> Path:
        folder = self.path / instance.study_instance_uid / instance.series_instance_uid
        target = folder / f"{instance.sop_instance_uid}{instance.path.suffix}"
        try:
            with durable_file(target, self.readers) as file:
                file.write(next(instance.encodings(deflated=self.deflated)))
        except OSError as error:
            raise Transient(
                f"the folder {self.path} cannot be written: {error.strerror or error}"
            ) from error
        return target
