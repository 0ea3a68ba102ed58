"""The contract of a destination, and the files that it gets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from node.dicom.results.transcoding import in_syntax, sent_syntaxes
from node.domain.delivery import Receipt
from node.domain.errors import Transient
from node.domain.identifiers import Uid


class UnreadableResult(Transient):
    """The node cannot read its own file of a result, which says nothing about the destination."""


@dataclass(frozen=True)
class ResultFile:
    """One instance of a result on disk: a Part 10 file and its UIDs."""

    path: Path
    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_instance_uid: Uid

    def read_dataset(self, tags: list[str] | None = None) -> Dataset:
        """Returns the data set, or only the elements with these keywords.

        Raises:
            Transient: the file cannot be read.
        """
        with _read_errors_as_transient():
            return dcmread(self.path, specific_tags=tags)

    def encodings(self, *, deflated: bool) -> Iterator[bytes]:
        """Yields the file in the encodings in which it can be sent, the best one first.

        With `deflated`, that is the deflated one for a segmentation of single bits. The last one is
        uncompressed.

        Raises:
            Transient: the file cannot be read.
        """
        with _read_errors_as_transient():
            meta = read_file_meta_info(self.path)
        stored = meta.TransferSyntaxUID
        syntaxes = sent_syntaxes(meta.MediaStorageSOPClassUID, stored, deflated=deflated)
        for syntax in syntaxes[:-1]:  # without the implicit one, which serves C-STORE alone
            if syntax == stored:
                with _read_errors_as_transient():
                    content = self.path.read_bytes()
                yield content
            else:
                file = BytesIO()
                dataset = in_syntax(self.read_dataset(), syntax)
                dcmwrite(file, dataset, enforce_file_format=True)
                yield file.getvalue()


@contextmanager
def _read_errors_as_transient() -> Iterator[None]:
    try:
        yield
    except (OSError, InvalidDicomError) as error:
        raise UnreadableResult(f"the result's file cannot be read: {error}") from error


class Destination(Protocol):
    """A system or folder that objects are sent to; the same object may be delivered twice."""

    @property
    def name(self) -> str:
        """The name in the configuration."""

    def deliver(self, instances: Sequence[ResultFile]) -> Receipt:
        """Delivers the instances of an object; when this returns, the destination has them all.

        Raises:
            Transient: not all arrived, and they may later; the message says what to check.
            Rejected: the destination refuses an instance for good; the message gives its reason.
        """
