"""Logs: one JSON object per line, without patient data."""

import json
import subprocess
import sys

# A separate process, because logging is configured once per process.
_PROGRAM = """
import logging
import structlog
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from node.log import configure_logging

configure_logging("info")
log = structlog.get_logger()
log.debug("below.level")
log.info("series.complete", slices=120, text="Köln\\nDeutz")
try:
    raise ValueError("what happened")
except ValueError:
    log.exception("timer.failed")
logging.getLogger("some.library").warning("%d connections", 3)
born = Tag("PatientBirthDate")
header = Dataset()
header[born] = RawDataElement(born, "DA", 11, b"Meier 1.1.50", 0, False, True)
header.PatientBirthDate
"""


def test_every_line_is_json_and_quotes_no_header_value() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    complete, failed, library = (json.loads(line) for line in run.stderr.splitlines())
    assert list(complete)[:3] == ["timestamp", "level", "event"]
    assert complete["event"] == "series.complete"
    assert (complete["slices"], complete["text"]) == (120, "Köln\nDeutz")
    assert "ValueError: what happened" in failed["exception"]
    assert (library["event"], library["logger"]) == ("3 connections", "some.library")
    assert run.stdout == ""


_PROCESSES, _EVENTS = 4, 2000
_FORKING_PROGRAM = f"""
import os
import structlog
from node.log import configure_logging

configure_logging("debug")
log = structlog.get_logger()
children = []
for number in range({_PROCESSES}):
    child = os.fork()
    if child == 0:
        for event in range({_EVENTS}):
            log.debug("image.received", process=number, sequence=event)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


def test_processes_that_log_at_the_same_time_mix_no_lines() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _FORKING_PROGRAM],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    events = [json.loads(line) for line in run.stderr.splitlines()]
    logged = {(event["process"], event["sequence"]) for event in events}
    assert len(logged) == len(events) == _PROCESSES * _EVENTS
