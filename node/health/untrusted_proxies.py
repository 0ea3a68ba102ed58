"""Requests that claim to be forwarded by a machine that is no proxy of the site.

The web process notes the latest one in a file of its host, which the overview and `segnode check`
read. It is no alert: anybody who reaches the console can send such a request.
"""

import json
import os
import socket
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.settings import Settings

_SHOWN = timedelta(days=1)


def note_untrusted_proxy(data_dir: Path, address: str, now: datetime) -> None:
    """Notes the address of a machine that claims to forward a request.

    A disk that refuses the note is another problem; the log has the address as well.
    """
    file = _file(data_dir)
    new = file.with_name(f"{file.name}.new")
    with suppress(OSError):
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump({"address": address, "at": now.isoformat()}, stream)
        new.replace(file)


def untrusted_proxy_problems(settings: Settings, now: datetime) -> list[Problem]:
    """Returns a problem if such a request has reached this host within the last day.

    It ends as soon as web.trusted_proxies has the address.
    """
    try:
        noted = json.loads(_file(settings.data_dir).read_text(encoding="utf-8"))
        address, at = str(noted["address"]), datetime.fromisoformat(noted["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if now - at > _SHOWN or _is_trusted(address, settings):
        return []
    return [
        Problem(
            kind=ProblemKind.UNTRUSTED_PROXY,
            subject=address,
            urgency=Urgency.NOTICE,
            text=(
                f"A request came from {address} and claims to be forwarded for somebody else "
                "(X-Forwarded-For). That machine is not in web.trusted_proxies, so the node "
                "ignores the claim."
            ),
            remedy=(
                f"If it is a proxy of the site, add {address} to trusted_proxies in [web]: without "
                "it, cookies are not for HTTPS alone, and records lack the address of the client. "
                "Otherwise, find out which program sends this header. This message ends after a "
                "day."
            ),
            since=at,
        )
    ]


def _is_trusted(address: str, settings: Settings) -> bool:
    with suppress(ValueError):
        own = ip_address(address)
        return any(own in ip_network(each) for each in settings.web.trusted_proxies)
    return False


def _file(data_dir: Path) -> Path:
    # Hosts may share the folder.
    return data_dir / f"untrusted-proxy-{socket.gethostname()}"
