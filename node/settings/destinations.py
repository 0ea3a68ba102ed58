"""The settings of destinations, by kind."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from node.domain.report import Quantity
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding, WantedObjects
from node.settings.credentials.options import HttpServiceOptions
from node.settings.network.tls_files import TlsFileOptions
from node.settings.value_types import (
    Boolean,
    FhirUrl,
    Hl7Name,
    Host,
    Name,
    Options,
    Positive,
    SitePath,
    Uri,
    Url,
    ViewerUrl,
    Whole,
    within,
)


class _Destination(Options):
    """A destination of results; `give_up_after_hours` overrides that of `delivery`."""

    give_up_after_hours: Positive | None = None


ObjectName = Literal["seg", "sr", "capture", "summary", "pdf", "rtstruct"]


class _ObjectDestination(_Destination):
    """A destination of DICOM objects.

    `objects` names what it gets, `segmentation` how a SEG stores its segments, and `fallback` what
    replaces an object that the destination does not accept. With `refusal_notice` it gets a page
    with the reason for each series that a rule selected and the node refused. With `deflated`, a
    SEG that is not a label map is sent deflated, if the destination accepts that.
    """

    objects: Annotated[tuple[ObjectName, ...], Field(min_length=1)] = ("seg",)
    segmentation: Literal["all-frames", "sparse", "labelmap"] = "all-frames"
    fallback: tuple[ObjectName, ...] = ()
    refusal_notice: Boolean = False
    deflated: Boolean = False

    @property
    def wanted(self) -> WantedObjects:
        """The objects as the jobs name them."""
        encoding = SegEncoding(self.segmentation)
        return WantedObjects(
            tuple(ResultObject.of(ResultKind(name), encoding) for name in self.objects),
            tuple(ResultObject.of(ResultKind(name), encoding) for name in self.fallback),
            self.refusal_notice,
        )


class CStoreDestination(_ObjectDestination):
    """Sends results to a peer by C-STORE.

    `commitment` names the peer, often the same, that receives the storage commitment request.
    """

    kind: Literal["cstore"]
    peer: Name
    commitment: Name | None = None


class DicomwebDestination(HttpServiceOptions, _ObjectDestination):
    """Sends results to a DICOMweb server by STOW-RS; `url` is the root of the service."""

    kind: Literal["dicomweb"]
    url: Url


class FolderDestination(_ObjectDestination):
    """Writes results to a folder, as study/series/instance.dcm.

    `readable_by` are the users of this machine who may read them.
    """

    kind: Literal["folder"]
    path: SitePath
    readable_by: Literal["owner", "group", "all"] = "all"


class ObservationCode(Options):
    """The site's code of a measurement; `organ` is the name of a model's label."""

    organ: Name
    quantity: Quantity
    code: Name
    scheme: Name
    meaning: Name


class _ReportDestination(_Destination):
    """An information system that gets the measurements.

    `viewer_url` is the address of a viewer; {study} stands for the Study Instance UID.
    """

    status: Literal["preliminary", "final"] = "preliminary"
    viewer_url: ViewerUrl = ""
    codes: tuple[ObservationCode, ...] = ()
    timeout_seconds: Positive = 30.0

    @property
    def wanted(self) -> WantedObjects:
        """The report of each job, and nothing else."""
        return WantedObjects((ResultObject(ResultKind.REPORT),))


class Hl7Destination(TlsFileOptions, _ReportDestination):
    """Sends measurements as HL7 v2.5.1 ORU^R01 by MLLP.

    `patient_authority` is the assigning authority of patient IDs whose source names none.
    """

    kind: Literal["hl7"]
    host: Host
    port: Annotated[Whole, within(1, 65535)]
    tls: Boolean = False
    charset: Literal["utf-8", "iso-8859-1", "us-ascii"] = "utf-8"
    sending_application: Hl7Name = "SEGNODE"
    sending_facility: Hl7Name = ""
    receiving_application: Hl7Name = ""
    receiving_facility: Hl7Name = ""
    processing_id: Literal["P", "T", "D"] = "P"
    patient_authority: Hl7Name = ""


class FhirDestination(HttpServiceOptions, _ReportDestination):
    """Sends measurements to a FHIR R4 server; `url` is the root of the service.

    `patient_system` is the system of patient IDs whose source names none.
    """

    kind: Literal["fhir"]
    url: FhirUrl
    patient_system: Uri = ""
    patient_reference: Literal["identifier", "search"] = "identifier"


Destination = Annotated[
    CStoreDestination | DicomwebDestination | FolderDestination | Hl7Destination | FhirDestination,
    Field(discriminator="kind"),
]
DESTINATION_KINDS: dict[str, type[BaseModel]] = {
    "cstore": CStoreDestination,
    "dicomweb": DicomwebDestination,
    "folder": FolderDestination,
    "hl7": Hl7Destination,
    "fhir": FhirDestination,
}
