"""The meaning of a storage status for a delivery."""

import pytest

from node.delivery.response_status import check_storage_status
from node.domain.errors import Rejected, Transient


def test_success_has_no_warning() -> None:
    assert check_storage_status(0x0000) == ""


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xB123, 0x0107])
def test_a_warning_counts_as_stored_and_is_reported(status: int) -> None:
    assert f"0x{status:04X}" in check_storage_status(status)


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0110, 0x0124])
def test_a_transient_failure_is_retried(status: int) -> None:
    with pytest.raises(Transient, match=f"0x{status:04X}"):
        check_storage_status(status)


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xCFFF, 0x0122, 0x0117, 0x1234])
def test_any_other_failure_is_permanent(status: int) -> None:
    with pytest.raises(Rejected, match=f"0x{status:04X}"):
        check_storage_status(status)
