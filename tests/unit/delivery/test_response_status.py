"""What a storage status means for a delivery."""

import pytest

from node.delivery.response_status import check_storage_status
from node.domain.errors import Rejected, Transient


def test_plain_success_says_nothing_more() -> None:
    assert check_storage_status(0x0000) == ""


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xB123, 0x0107])
def test_a_warning_counts_as_stored_and_is_told(status: int) -> None:
    assert f"0x{status:04X}" in check_storage_status(status)


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0110, 0x0124])
def test_a_failure_that_may_pass_is_worth_another_try(status: int) -> None:
    with pytest.raises(Transient, match=f"0x{status:04X}"):
        check_storage_status(status)


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xCFFF, 0x0122, 0x0117, 0x1234])
def test_any_other_failure_stays(status: int) -> None:
    with pytest.raises(Rejected, match=f"0x{status:04X}"):
        check_storage_status(status)
