"""Messages as sentences."""

import pytest

from node.domain.texts.sentences import sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the code is wrong", "The code is wrong."),
        ("no.", "No."),
        ("why? ", "Why?"),
        ("über die Grenze", "Über die Grenze."),
        ("", ""),
        ("pacs@pacs.example:104 stopped answering", "pacs@pacs.example:104 stopped answering."),
        ("pacs.example refuses it", "pacs.example refuses it."),
        ("pacs:104 refuses it", "pacs:104 refuses it."),
        ("pacs-2 refuses it", "pacs-2 refuses it."),
        ("ct1 refuses it", "ct1 refuses it."),
        ("http://ehr/r4 answered 500", "http://ehr/r4 answered 500."),
        ("host2/worker still runs revision 1", "host2/worker still runs revision 1."),
        ("certificate_name: needs a port", "certificate_name: needs a port."),
        ("port: must be a number", "port: must be a number."),
        ("/srv/out is full", "/srv/out is full."),
    ],
)
def test_a_capital_begins_a_sentence_unless_it_begins_with_what_must_be_typed_exactly(
    text: str, expected: str
) -> None:
    assert sentence(text) == expected
