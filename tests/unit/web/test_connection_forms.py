"""Forms of connections: what they show and what a filled-in form changes."""

from node.web.console.connections.forms import listener_form, peer_form


def test_addresses_are_shown_and_read_with_commas_between_them() -> None:
    form = peer_form()
    text = {"ae_title": "CT1", "host": "ct1", "port": 104, "addresses": ["10.0.0.0/8"]}
    filled = {
        "ae_title": "CT1",
        "host": "ct1",
        "port": "104",
        "addresses": "10.0.0.0/8, 192.0.2.1,",
        "may.store": "on",
        "may.commit": "on",
    }
    changes = form.changes(text, form.submitted(filled))
    assert changes == {"addresses": ["10.0.0.0/8", "192.0.2.1"]}


def test_a_permission_that_is_unticked_is_removed() -> None:
    form = peer_form()
    changes = form.changes({}, form.submitted({"may.commit": "on"}))
    assert changes["may"] == ["commit"]


def test_a_form_that_is_unchanged_changes_nothing() -> None:
    form = listener_form()
    values = form.shown({"tls_port": 2762})
    filled = {key: str(value) for key, value in values.items() if value not in (None, False)}
    assert form.changes({"tls_port": 2762}, form.submitted(filled)) == {}
