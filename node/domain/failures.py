"""What an error means to the work that met it: one function decides, nobody else catches."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from node.domain.errors import NodeError, Rejected, Transient

T = TypeVar("T")


@dataclass(frozen=True)
class Defect:
    """An error that nobody expected, or that only a person can put right."""

    message: str
    trace: str


def attempt(work: Callable[[], T]) -> T | Rejected | Transient | Defect:
    """What `work` returns, or what kept it from that."""
    try:
        return work()
    except (Rejected, Transient) as error:
        return error
    except NodeError as error:
        return Defect(str(error), traceback.format_exc())
    except Exception as error:  # noqa: BLE001 a defect must park one job, never stop the worker
        return Defect(f"{type(error).__name__}: {error}", traceback.format_exc())
