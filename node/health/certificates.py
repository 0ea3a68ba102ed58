"""Expiry of the certificate files that the configuration names, and of those that peers show."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from node.domain.connections.seen_certificate import SeenCertificate
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.domain.texts.sentences import sentence_end
from node.settings import Settings
from node.settings.network.tls_tables import tls_tables
from node.store import Store

# The settings that name files with certificates; a key file holds none.
_CERTIFICATE_SETTINGS = ("certificate_file", "ca_file")


def peer_certificate_problems(settings: Settings, store: Store, now: datetime) -> list[Problem]:
    """Returns a problem for each peer whose certificate expires soon, as it was shown last.

    Raises:
        Transient: the database does not answer.
    """
    margin = timedelta(days=settings.monitoring.certificate_days)
    known = {peer.ae_title for peer in settings.peers.values()}
    return [
        _peer_expiring(seen, now)
        for seen in store.peer_certificates(now)
        if seen.ae_title in known and seen.expires_at - now < margin
    ]


def certificate_problems(settings: Settings, now: datetime) -> list[Problem]:
    """Returns a problem for each configured certificate file that expires soon or cannot be read.

    A file with several certificates expires with the first of them.
    """
    margin = timedelta(days=settings.monitoring.certificate_days)
    problems = []
    for key, file in _certificate_files(settings):
        try:
            expires_at = _first_expiry(file, file.stat().st_mtime_ns)
        except (OSError, ValueError) as error:
            problems.append(_unreadable(key, file, error))
            continue
        if expires_at - now < margin:
            problems.append(_expiring(key, file, expires_at, now))
    return problems


def _certificate_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yields the files with the settings that name them."""
    for path, table in tls_tables(settings):
        for key in _CERTIFICATE_SETTINGS:
            file = getattr(table, key, None)
            if isinstance(file, Path):
                yield ".".join(map(str, (*path, key))), file


@lru_cache(maxsize=32)
def _first_expiry(file: Path, _modified_ns: int) -> datetime:
    from cryptography import x509  # a node without certificate files starts sooner without it

    certificates = x509.load_pem_x509_certificates(file.read_bytes())
    return min(certificate.not_valid_after_utc for certificate in certificates)


def _expiring(key: str, file: Path, expires_at: datetime, now: datetime) -> Problem:
    has_expired = expires_at <= now
    return Problem(
        kind=ProblemKind.CERTIFICATE_EXPIRING,
        subject=key,
        urgency=Urgency.WARNING if has_expired else Urgency.NOTICE,
        text=(
            f"A certificate in {file} ({key}) {'expired' if has_expired else 'expires'} "
            f"on {expires_at:%Y-%m-%d}."
        ),
        remedy="Replace the file with a renewed certificate; no restart is needed.",
    )


def _peer_expiring(seen: SeenCertificate, now: datetime) -> Problem:
    has_expired = seen.expires_at <= now
    names = ", ".join(seen.names)
    return Problem(
        kind=ProblemKind.CERTIFICATE_EXPIRING,
        subject=f"{seen.role}:{seen.ae_title}",
        urgency=Urgency.WARNING if has_expired else Urgency.NOTICE,
        text=(
            f"The certificate that {seen.ae_title} shows ({names}) "
            f"{'expired' if has_expired else 'expires'} on {seen.expires_at:%Y-%m-%d}."
        ),
        remedy=f"Have it renewed on {seen.ae_title}, with the same name.",
    )


def _unreadable(key: str, file: Path, error: Exception) -> Problem:
    return Problem(
        kind=ProblemKind.CERTIFICATE_EXPIRING,
        subject=key,
        urgency=Urgency.WARNING,
        text=sentence_end(f"The certificate in {file} ({key}) cannot be read: {error}"),
        remedy="Make the file readable for the node, or correct the setting.",
    )
