"""Structured logs, one event in a line; nothing in them names a patient."""

import logging
import sys

import structlog


def configure_logging(level: str) -> None:
    """Write events of `level` ("debug", "info", ...) or above to stderr, one in a line."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s"
    )
    # A peer that is away is told by the delivery that failed, with what to do about it.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    # Its warnings quote values of headers, which can be a patient's.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
