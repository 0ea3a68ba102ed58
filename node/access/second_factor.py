"""The second factor: time-based one-time passwords (RFC 6238) and recovery codes."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

import pyotp
import segno

from node.access.authentication import RequestFacts
from node.access.login_records import own_account_record, refused_change_record
from node.access.secrets import digest_of_code, new_code
from node.domain.access.users import AccountError
from node.store import Store

_ISSUER = "segnode"
_STEP_S = 30
# The clock of a telephone may be one time step behind or ahead (RFC 6238, 5.2).
_DRIFT_STEPS = (0, -1, 1)
_RECOVERY_CODES = 10
_WRONG_CODE = "the code is wrong, too old or was used already; wait for the next one"


class UsedCode(Enum):
    """Which code of a second factor a person has used."""

    APP = auto()
    RECOVERY = auto()


@dataclass(frozen=True)
class Enrolment:
    """A secret that a user puts into an authenticator app."""

    secret: str
    uri: str

    @property
    def qr_code(self) -> str:
        """The address as a QR code: an SVG element."""
        return segno.make(self.uri, micro=False).svg_inline(
            scale=4, border=2, svgclass="qr", lineclass=None, dark="#000", light="#fff"
        )


@dataclass(frozen=True)
class SecondFactor:
    """Sets up and checks the second factor of users."""

    store: Store

    def begin_enrolment(self, name: str) -> Enrolment:
        """Returns the secret that waits for confirmation, or a new one.

        Raises:
            AccountError: the user has a second factor already.
        """
        credentials = self.store.credentials_of(name)
        if credentials is None or credentials.user.has_second_factor:
            raise AccountError(f"the user {name} has a second factor already; remove it first")
        secret = credentials.totp_secret
        if secret is None:
            secret = pyotp.random_base32()
            self.store.set_totp_secret(name, secret)
        uri = pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=_ISSUER)
        return Enrolment(secret, uri)

    def confirm(self, name: str, code: str, facts: RequestFacts) -> list[str]:
        """Makes the secret count after a first code from it; returns the new recovery codes.

        The audit trail records that it counts, and a wrong code.

        Raises:
            AccountError: the code is wrong.
        """
        credentials = self.store.credentials_of(name)
        secret = None if credentials is None else credentials.totp_secret
        step = None if secret is None else _step_of(secret, code, facts.now)
        if secret is None or step is None:
            reason = "second factor not set up: the code is wrong"
            self.store.record(refused_change_record(name, facts, reason))
            raise AccountError(_WRONG_CODE)
        codes = [new_code() for _ in range(_RECOVERY_CODES)]
        digests = [digest_of_code(each) for each in codes]
        change = f"sets up the second factor, with {_RECOVERY_CODES} recovery codes"
        record = own_account_record(name, facts, change)
        if not self.store.confirm_second_factor(name, secret, step, digests, record):
            raise AccountError("the second factor was changed elsewhere; begin again")
        return codes

    def use(self, name: str, code: str, now: datetime) -> UsedCode | None:
        """Uses up a code of the app, or a recovery code; None if it is neither, or was used."""
        credentials = self.store.credentials_of(name)
        if credentials is None or credentials.totp_secret is None:
            return None
        step = _step_of(credentials.totp_secret, code, now)
        if step is not None:
            return UsedCode.APP if self.store.use_totp_step(name, step) else None
        is_recovery = self.store.use_recovery_code(name, digest_of_code(code))
        return UsedCode.RECOVERY if is_recovery else None


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """Returns the time step that the code belongs to; None if it is wrong."""
    totp = pyotp.TOTP(secret, interval=_STEP_S)
    digits = "".join(code.split())
    current = int(now.timestamp()) // _STEP_S
    for drift in _DRIFT_STEPS:
        if pyotp.utils.strings_equal(totp.generate_otp(current + drift), digits):
            return current + drift
    return None
