"""A STOW-RS server (PS3.18 10.5) on loopback that refuses transfer syntaxes as real ones do."""

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.servers.loopback_server import LoopbackServer


@dataclass
class StowServer(LoopbackServer):
    """Stores what has the transfer syntax `accepted`; refuses the rest.

    A refusal is the HTTP status `refusal`, or 409 with `failure_reason`.
    """

    refusal: int = 409
    failure_reason: int = 0xC122
    accepted: str = ExplicitVRLittleEndian
    received: list[Dataset] = field(default_factory=list)  # every data set that was sent
    stored: list[Dataset] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Returns status and body of the response to a request of one part."""
        boundary, _, rest = body.partition(b"\r\n")
        part = rest.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n" + boundary + b"--\r\n")
        dataset = dcmread(BytesIO(part))
        self.received.append(dataset)
        item = Dataset()
        item.ReferencedSOPClassUID = dataset.SOPClassUID
        item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
        outcome = Dataset()
        if dataset.file_meta.TransferSyntaxUID == self.accepted:
            self.stored.append(dataset)
            outcome.ReferencedSOPSequence = [item]
            return 200, outcome.to_json().encode()
        if self.refusal != 409:
            return self.refusal, b""
        item.FailureReason = self.failure_reason
        outcome.FailedSOPSequence = [item]
        return 409, outcome.to_json().encode()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Returns the class that answers one request."""
        stow = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, content = stow.answer(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                self.send_header("Content-Type", "application/dicom+json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Logs nothing."""

        return Handler
