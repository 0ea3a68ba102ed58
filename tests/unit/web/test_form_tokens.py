"""Every form that changes something holds the token of the session."""

import re
from pathlib import Path

import node.web.console

FOLDER = Path(node.web.console.__file__).parent
TEMPLATES = sorted((FOLDER / "templates").rglob("*.html"))
SCRIPTS = sorted((FOLDER / "static").glob("*.js"))


def test_every_form_with_post_holds_the_token() -> None:
    forms = [
        (file.name, form)
        for file in TEMPLATES
        for form in re.findall(r'<form\b.*?method="post".*?>.{0,30}', file.read_text("utf-8"))
    ]
    assert len(forms) > 20
    assert [form for form in forms if "{{ csrf_field() }}" not in form[1]] == []


def test_a_form_with_get_never_holds_it() -> None:
    for file in TEMPLATES:
        for form in re.findall(r"<form\b[^>]*>.*?</form>", file.read_text("utf-8"), re.DOTALL):
            if 'method="post"' not in form.partition(">")[0]:
                assert "csrf_field" not in form, file
                buttons = re.findall(r"<button[^>]*formmethod=.post.[^>]*>", form)
                assert all("csrf_value" in button for button in buttons), file


def test_a_script_that_posts_sends_the_fields_of_its_form() -> None:
    for file in SCRIPTS:
        text = file.read_text("utf-8")
        posts = re.findall(r'fetch\([^;]*method: "POST"[^;]*;', text)
        assert all("body" in post for post in posts), file
        assert not posts or "new FormData(" in text, file
