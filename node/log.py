"""Structured logs, one event per line, without patient data."""

import logging
import sys
import warnings

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from node.log_limit import LogLimit


def configure_logging(level: str) -> LogLimit:
    """Writes events of `level` ("debug", "info", ...) or above to stderr, one per line.

    The format is JSON, or text on a terminal. Log records of libraries use the same format, from
    level warning. The returned limit leaves out lines that would fill the disk.
    """
    limit = LogLimit()
    common: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering = _text_rendering() if sys.stderr.isatty() else _json_rendering()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, limit, *common, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        # It writes an event and its line end at once. The processes of a node have one stderr.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    add_name = structlog.stdlib.add_logger_name
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.contextvars.merge_contextvars, *common, add_name],
            processors=[remove_meta, *rendering],
        )
    )
    handler.addFilter(limit.filter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    _limit_library_logs()
    return limit


def _text_rendering() -> list[Processor]:
    # The default formatter prints local variables, which can hold patient data.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(exception_formatter=plain)]


def _json_rendering() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        _order_keys,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]


def _order_keys(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Puts timestamp, level and event first."""
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def _limit_library_logs() -> None:
    # The failed delivery reports an unreachable peer, with the remedy.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    # pydicom's warnings quote header values, which may identify a patient.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pydicom\b")
