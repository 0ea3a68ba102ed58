"""URLs of DICOMweb resources (PS3.18 8.2)."""

from fastapi import Request

SERVICE_PATH = "/dicom-web"


def service_root(request: Request) -> str:
    """Returns the base URL of the DICOMweb service, under the name that the client uses."""
    return f"{str(request.base_url).rstrip('/')}{SERVICE_PATH}"


def retrieve_url(
    root: str, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
) -> str:
    """Returns the Retrieve URL (0008,1190) of a study, of a series or of an instance."""
    url = f"{root}/studies/{study_uid}"
    if series_uid is not None:
        url += f"/series/{series_uid}"
    if sop_uid is not None:
        url += f"/instances/{sop_uid}"
    return url


def bulk_data_url(root: str, study_uid: str, series_uid: str, sop_uid: str) -> str:
    """Returns the URL of the bulk data of an instance, without the path of a value."""
    return f"{retrieve_url(root, study_uid, series_uid, sop_uid)}/bulkdata"
