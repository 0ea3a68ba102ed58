"""The style sheets of the console have rules only for what its pages hold."""

import re
from pathlib import Path

from node.domain.monitoring.problem import Urgency
from node.web.console import rendering
from node.web.console.state_text import Tone

_CONSOLE = Path(rendering.__file__).parent
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_DECLARATIONS = re.compile(r"\{[^{}]*\}")


def styled_classes() -> set[str]:
    """The classes that a selector names."""
    sheets = "".join(path.read_text("utf-8") for path in (_CONSOLE / "static").glob("*.css"))
    selectors = _DECLARATIONS.sub("{}", _COMMENT.sub("", sheets))
    return set(re.findall(r"\.([a-z][\w-]*)", selectors))


def used_words() -> set[str]:
    """Every word of the templates and scripts, and the classes that the views name."""
    files = [*(_CONSOLE / "templates").rglob("*.html"), *(_CONSOLE / "static").glob("*.js")]
    words = {word for path in files for word in re.findall(r"[\w-]+", path.read_text("utf-8"))}
    return words | {tone.value for tone in Tone} | {urgency.value for urgency in Urgency}


def test_every_styled_class_is_used() -> None:
    classes = styled_classes()
    assert "panel" in classes
    assert classes - used_words() == set()
