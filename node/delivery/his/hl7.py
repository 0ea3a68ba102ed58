"""A destination by HL7 v2.5.1: ORU^R01 by MLLP."""

from collections.abc import Sequence
from dataclasses import dataclass

from node.delivery.destination import ResultFile
from node.delivery.his.acknowledgement import check_acknowledgement
from node.delivery.his.mllp import MllpReceiver
from node.delivery.his.oru_message import oru_message
from node.delivery.his.report_file import delivery_id, read_report
from node.domain.delivery import Receipt
from node.domain.errors import Rejected, RejectionReason
from node.domain.report import Report
from node.settings import Hl7Destination


@dataclass(frozen=True)
class Hl7:
    """An information system that takes unsolicited observation results.

    Every attempt at a delivery sends the same message with the same control ID, so that the
    receiver recognises a repetition.
    """

    name: str
    options: Hl7Destination

    def deliver(self, instances: Sequence[ResultFile]) -> Receipt:
        """See `Destination.deliver`; the only instance is the report."""
        (file,) = instances
        return self.deliver_report(read_report(file.path))

    def deliver_report(self, report: Report) -> Receipt:
        """Sends the report and waits for its acknowledgement.

        Raises:
            Transient: the message did not arrive, and may later; the message says what to check.
            Rejected: the receiver rejects it for good, or the character set cannot express it.
        """
        control_id = delivery_id(report.job_id, self.name)
        block = self._encoded(oru_message(report, self.options, control_id))
        receiver = self._receiver()
        answer = receiver.exchange(block).decode(self.options.charset, errors="replace")
        code = check_acknowledgement(answer, control_id, str(receiver), report)
        return Receipt(self.name, f"ORU^R01 {control_id} to {receiver}: {code}")

    def _receiver(self) -> MllpReceiver:
        options = self.options
        return MllpReceiver(
            options.host,
            options.port,
            options.timeout_seconds,
            options.tls_files if options.tls else None,
        )

    def _encoded(self, message: str) -> bytes:
        try:
            return message.encode(self.options.charset)
        except UnicodeEncodeError:
            # Without its cause, whose text quotes the message.
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"the measurements have characters that {self.options.charset} cannot express: "
                f'set charset = "utf-8" for the destination {self.name}, then retry the job',
            ) from None
