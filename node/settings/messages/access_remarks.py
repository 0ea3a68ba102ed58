"""Remarks on valid settings of logins and of the audit trail that still deserve attention."""

from collections.abc import Iterator
from ipaddress import ip_network

from node.settings.access.proxy import ProxyLoginOptions
from node.settings.network.loopback import is_loopback_host
from node.settings.options import Settings

# A stolen cookie, or a browser that nobody closes, counts for so long.
_LONG_SESSION_HOURS = 24.0
# Nobody reads an image for so long without using the console.
_LONG_IDLE_MINUTES = 8 * 60.0
# Unnoticed access is often found after months.
_FEW_AUDIT_DAYS = 180
# A network of more addresses holds more machines than a proxy.
_MANY_ADDRESSES = 256


def access_remarks(settings: Settings) -> Iterator[str]:
    """Yields one sentence for each."""
    yield from _long_sessions(settings)
    if settings.access.proxy is not None:
        yield from _open_proxy(settings.access.proxy)
    yield from _readable_passwords(settings)
    yield from _short_audit_trail(settings)
    yield from _readable_audit_trail(settings)


def _long_sessions(settings: Settings) -> Iterator[str]:
    access = settings.access
    if access.login == "none":
        return
    if access.session_hours > _LONG_SESSION_HOURS:
        yield (
            f"access.session_hours {access.session_hours:g}: who gets hold of a session can use it "
            "for so long. A working day, such as 12, is enough for most sites."
        )
    if access.idle_minutes >= access.session_hours * 60:
        yield (
            f"access.idle_minutes {access.idle_minutes:g}: it has no effect, because each session "
            f"ends after {access.session_hours:g} h (session_hours)."
        )
    elif access.idle_minutes > _LONG_IDLE_MINUTES:
        yield (
            f"access.idle_minutes {access.idle_minutes:g}: a console that somebody leaves open can "
            "be used by others for so long."
        )


def _open_proxy(proxy: ProxyLoginOptions) -> Iterator[str]:
    if not proxy.has_secret:
        yield (
            f"Login by proxy: every program and user at {', '.join(proxy.addresses)} can log in as "
            "anybody. Name a secret that only the proxy has, in access.proxy.secret_file."
        )
    for address in proxy.addresses:
        network = ip_network(address)
        if network.num_addresses > _MANY_ADDRESSES:
            yield (
                f"access.proxy.addresses {address}: each machine of this network counts as the "
                "proxy. Name the addresses of the proxy alone."
            )


def _readable_passwords(settings: Settings) -> Iterator[str]:
    """Yields a console to which passwords cross the network in clear text."""
    web = settings.web
    if settings.access.login != "none" and not web.is_https and not is_loopback_host(web.host):
        yield (
            f"web.host {web.host}: passwords, tokens and images cross the network without "
            "encryption. Set certificate_file in [web], or let a proxy use HTTPS and set "
            'host = "127.0.0.1".'
        )


def _short_audit_trail(settings: Settings) -> Iterator[str]:
    days = settings.retention.audit_days
    if days is not None and days < _FEW_AUDIT_DAYS:
        age = "a day" if days == 1 else f"{days} days"
        yield (
            f"retention.audit_days {days}: records of the audit trail are removed after {age}. "
            "Misuse is often noticed after months, and laws may demand years."
        )


def _readable_audit_trail(settings: Settings) -> Iterator[str]:
    syslog = settings.audit.syslog
    if syslog is not None and not syslog.tls and not is_loopback_host(syslog.host):
        yield (
            f"audit.syslog: the records, with names of users and what they read, cross the network "
            f"to {syslog.host} without encryption, and anybody there can change them. Use TLS."
        )
