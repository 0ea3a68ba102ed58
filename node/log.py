"""Structured logs, one event in a line; nothing in them names a patient."""

import logging
import sys
import warnings

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure_logging(level: str) -> None:
    """Write events of `level` ("debug", "info", ...) or above to stderr, one in a line.

    As JSON, for journals and log collectors; on a terminal as text for people. Libraries write in
    the same form, from warnings upwards.
    """
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    writing = _for_people() if sys.stderr.isatty() else _for_machines()
    structlog.configure(
        processors=[*before, *writing],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    naming = structlog.stdlib.add_logger_name
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, naming], processors=[meta, *writing]
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    _quieten_libraries()


def _for_people() -> list[Processor]:
    # The default formatter shows local variables, which can hold a patient's data.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(exception_formatter=plain)]


def _for_machines() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        _in_reading_order,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]


def _in_reading_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """When, how bad and what come first."""
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def _quieten_libraries() -> None:
    # A peer that is away is told by the delivery that failed, with what to do about it.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    # pydicom's warnings quote values of headers, which can be a patient's; it gives each twice.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pydicom\b")
