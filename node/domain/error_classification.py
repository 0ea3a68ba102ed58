"""Classifies the errors of a unit of work; no other code catches them."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from node.domain.errors import NodeError, Rejected, Transient

T = TypeVar("T")


@dataclass(frozen=True)
class Defect:
    """An unexpected error, or one that only a person can fix."""

    message: str
    trace: str


def attempt(work: Callable[[], T]) -> T | Rejected | Transient | Defect:
    """Runs `work`; returns its result, or the classified error that stopped it."""
    try:
        return work()
    except (Rejected, Transient) as error:
        return error
    except NodeError as error:
        return Defect(str(error), traceback.format_exc())
    except Exception as error:  # noqa: BLE001 a defect parks one job and must not stop the worker
        return Defect(f"{type(error).__name__}: {error}", traceback.format_exc())
