"""The certificate of the web server: what is wrong with its files, and its renewal from them.

`segnode check` imports this module, which needs no web framework.
"""

from datetime import datetime

from node.domain.errors import Misconfigured
from node.settings import Settings
from node.tls.certificate_files import file_mistakes, open_key_mistake
from node.tls.contexts import ServerCertificate


def check_web_certificate(settings: Settings, now: datetime) -> None:
    """Checks the files of the certificate and its key.

    Raises:
        Misconfigured: lists each file that cannot be used, with its setting and the remedy.
    """
    files = settings.web.tls_files
    mistakes = [*file_mistakes(files, now), *filter(None, [open_key_mistake(files)])]
    if mistakes:
        raise Misconfigured.combined(
            [
                Misconfigured(each.message, file=settings.file, key=f"web.{each.key}")
                for each in mistakes
            ]
        )


def server_certificate(
    settings: Settings, now: datetime, current: ServerCertificate | None = None
) -> ServerCertificate | None:
    """Returns the certificate to serve with: `current`, renewed from the files; None for HTTP.

    Raises:
        Misconfigured: a file cannot be used; `current` stays as it is.
    """
    if not settings.web.is_https:
        return None
    check_web_certificate(settings, now)
    try:
        if current is None:
            return ServerCertificate(settings.web.tls_files)
        current.renew(settings.web.tls_files)
    except (OSError, ValueError) as error:  # OpenSSL is stricter, for example about weak keys
        message = f"OpenSSL cannot use the certificate or its key ({error}): issue another one"
        raise Misconfigured(message, file=settings.file, key="web.certificate_file") from error
    return current
