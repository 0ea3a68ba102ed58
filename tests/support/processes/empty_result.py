"""Result objects without content, for an inference that runs no model."""

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from node.domain.result_objects import ObjectUids, ResultKind
from node.jobs.inference import InferenceRequest, InferenceResult, ProducedObject


def empty_result(request: InferenceRequest) -> InferenceResult:
    """A result whose objects have no content; a capture has two instances, the others one."""
    objects = []
    for each in request.objects:
        uids = ObjectUids(request.job.job_id, each)
        count = 2 if each.kind is ResultKind.CAPTURE else 1
        folder = request.output / each.name
        folder.mkdir(exist_ok=True)
        files = tuple(folder / f"{number:04d}.dcm" for number in range(1, count + 1))
        for number, file in enumerate(files, start=1):
            dataset = Dataset()
            dataset.SOPClassUID = SecondaryCaptureImageStorage
            dataset.SOPInstanceUID = uids.sop_instance_uid(number)
            dataset.SeriesInstanceUID = uids.series_instance_uid
            dataset.StudyInstanceUID = request.job.study_instance_uid
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dcmwrite(file, dataset, enforce_file_format=True)
        objects.append(ProducedObject(each, str(SecondaryCaptureImageStorage), files))
    measurements: dict[str, dict[str, float | bool]] = {"Liver": {"volume_ml": 1500.0}}
    return InferenceResult(tuple(objects), b"a picture", measurements, {"segment": 0.1})
