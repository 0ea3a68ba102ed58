"""Factories of made-up instances and jobs."""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID

from node.domain.identifiers import Uid
from node.domain.instance import Channel, Origin, ReceivedInstance
from node.domain.job import Job, JobState
from node.domain.job import job_id as name_of_job
from node.domain.series import SeriesPart, StoredSeries
from node.store import Store

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
SERIES = Uid("1.2.3")
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def sqlite_url(folder: Path) -> str:
    """Returns the URL of an embedded database in `folder`."""
    return f"sqlite:///{folder / 'segnode.sqlite'}"


def received(
    *,
    sop_instance_uid: str = "1.2.3.1",
    series_instance_uid: str = SERIES,
    study_instance_uid: str = "1.2",
    dataset: bytes = b"any bytes ",
    peer: str = "MODALITY1",
) -> ReceivedInstance:
    """Returns an instance whose data set is never parsed."""
    return ReceivedInstance(
        sop_class_uid=Uid(CT_IMAGE),
        sop_instance_uid=Uid(sop_instance_uid),
        series_instance_uid=Uid(series_instance_uid),
        study_instance_uid=Uid(study_instance_uid),
        transfer_syntax_uid=Uid(EXPLICIT),
        dataset=dataset,
        origin=Origin(Channel.C_STORE, peer),
    )


def add_instances(store: Store, *sop_instance_uids: str, now: datetime = NOON) -> None:
    """Indexes new instances of SERIES without files."""
    for uid in sop_instance_uids:
        path = store.data_dir / "instances" / SERIES / f"{uid}.dcm"
        assert store.add_instance(received(sop_instance_uid=uid), path, 10, now)


def job_of(series_instance_uid: Uid, *, job_id: str = "") -> Job:
    """Returns a job in state QUEUED."""
    digest = "0" * 64
    return Job(
        job_id=job_id or name_of_job(digest + series_instance_uid, "liver-ct", "1.0"),
        series_instance_uid=series_instance_uid,
        study_instance_uid=Uid("1.2"),
        series_digest=digest,
        instance_count=1,
        rule="liver",
        model_id="liver-ct",
        model_version="1.0",
        destinations=("archive",),
        state=JobState.QUEUED,
        reason="",
        replaces=None,
        timings_s={},
        measurements={},
        result_path=None,
        picture_path=None,
        created_at=NOON,
        updated_at=NOON,
        rules=("liver",),
    )


def part_of_two(number: int) -> SeriesPart:
    """Returns acquisition 1 or 2 of a series of two, with 24 slices each."""
    return SeriesPart("AcquisitionNumber", str(number), number, 2, 24, 24, f"digest {number}")


def encoded(
    *,
    sop_class_uid: str = CT_IMAGE,
    sop_instance_uid: str = "1.2.3.1",
    series_instance_uid: str = SERIES,
    study_instance_uid: str = "1.2",
    patient_name: str = "Test^Patient",
    transfer_syntax_uid: str = EXPLICIT,
    attributes: Mapping[str, object] = MappingProxyType({}),
) -> bytes:
    """Returns the encoded data set of a CT slice of 4 pixels; empty UIDs stay empty."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = sop_instance_uid
    dataset.StudyInstanceUID = study_instance_uid
    dataset.SeriesInstanceUID = series_instance_uid
    dataset.PatientName = patient_name
    dataset.Modality = "CT"
    referenced = Dataset()
    referenced.ReferencedSOPClassUID = CT_IMAGE
    referenced.ReferencedSOPInstanceUID = "1.2.3.99"
    # A sequence before the Study and Series Instance UID, which a reader must skip.
    dataset.ReferencedStudySequence = [referenced]
    dataset.PixelData = b"\0\1" * 4
    dataset["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    buffer = BytesIO()
    syntax = UID(transfer_syntax_uid)
    dcmwrite(
        buffer,
        dataset,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
    )
    whole = buffer.getvalue()
    if not syntax.is_deflated:
        return whole
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(whole) + deflater.flush()


def series_in(store: Store, limit: int = 100) -> list[StoredSeries]:
    """Returns the series of a store that received an image last, newest first."""
    return store.series_received_since(datetime.min.replace(tzinfo=UTC), limit)
