"""Remarks on parts of the configuration that nothing uses."""

from pathlib import Path

import pytest

from node.settings import load_settings
from node.settings.messages.remarks import remarks
from tests.unit.settings.site import VALID, write

_FROM_CT = VALID.replace("when = {", 'when = { all = [{ from_ae = ["CT1", "web"] }, {').replace(
    '"CT" }', '"CT" }] }'
)
_CT = '[peers.ct1]\nae_title = "CT1"\nhost = "a"\nport = 1\n'
_WEB = '[sources.web]\nurl = "http://s/x"\n'


def _found(folder: Path, text: str) -> list[str]:
    return list(remarks(load_settings(write(folder, text))))


def test_a_destination_that_no_rule_names_has_a_remark(tmp_path: Path) -> None:
    other = '[destinations.other]\nkind = "cstore"\npeer = "pacs"\n'
    (remark,) = _found(tmp_path, VALID + other)
    assert remark == (
        "Destination 'other': no rule names it, so it gets only results that a person redirects "
        "to it."
    )
    second = (
        VALID[VALID.index("[[rules]]") :].replace('"liver"', '"b"').replace('"pacs"', '"other"')
    )
    assert _found(tmp_path, VALID + other + second) == []


@pytest.mark.parametrize(
    ("added", "subject"),
    [
        (_WEB.replace("sources.web", "sources.old"), "Source 'old': no rule takes series from old"),
        (
            _CT.replace("ct1", "ct2").replace("CT1", "CT2"),
            "Peer 'ct2': no rule takes series from CT2",
        ),
    ],
)
def test_a_sender_whose_series_no_rule_takes_has_a_remark(
    tmp_path: Path, added: str, subject: str
) -> None:
    assert _found(tmp_path, _FROM_CT + _CT + _WEB) == []
    (remark,) = _found(tmp_path, _FROM_CT + _CT + _WEB + added)
    assert remark.startswith(subject)
    assert _found(tmp_path, VALID + _CT + _WEB + added) == []


def test_a_peer_that_gets_results_or_may_not_store_need_not_be_in_a_rule(tmp_path: Path) -> None:
    silent = _CT.replace("ct1", "ct2").replace("CT1", "CT2") + 'may = ["commit"]\n'
    assert _found(tmp_path, _FROM_CT + _CT + _WEB + silent) == []
    retrieved = _FROM_CT.replace("port = 4242", 'port = 4242\nretrieve = "get"')
    (remark,) = _found(tmp_path, retrieved + _CT + _WEB)
    assert remark.startswith("Peer 'pacs': no rule takes series from PACS")


def test_without_rules_nothing_else_is_called_unused(tmp_path: Path) -> None:
    text = VALID[: VALID.index("[[rules]]")] + _WEB
    assert _found(tmp_path, text) == []
