"""The address after a login is a path on this node."""

import pytest

from node.web.next_page import login_address, safe_page


@pytest.mark.parametrize(
    "address",
    [
        "https://attacker.example/",
        "//attacker.example/",
        "/\\attacker.example/",
        "\\\\attacker.example",
        "/\t/attacker.example",
        "/\n/attacker.example",
        "javascript:alert(1)",
        "attacker.example",
        "",
        "///attacker.example",
        "/\u2044attacker.example",
        "/" + "a" * 3000,
    ],
)
def test_an_address_elsewhere_becomes_the_start_page(address: str) -> None:
    assert safe_page(address) == "/"
    assert login_address(address) == "/login"


@pytest.mark.parametrize("address", ["/", "/series/1.2.3", "/?state=done&q=a%20b", "/queues#top"])
def test_an_address_on_this_node_stays(address: str) -> None:
    assert safe_page(address) == address


def test_the_login_page_gets_the_address() -> None:
    assert login_address("/queues?tab=open") == "/login?next=%2Fqueues%3Ftab%3Dopen"
