"""Messages as sentences: a capital at the start, a full stop at the end."""

import re

# A word of a language. An address, an AE title with its host, a path or the name of a setting has
# other characters, and its letters are as they must be typed.
_WORD = re.compile(r"[^\W\d_]+[,;.!?]?(?=\s|$)")


def sentence(text: str) -> str:
    """Returns the text with a full stop at its end, and a capital at its start if that is a word.

    Messages begin with no bare name of a user, host or AE title, which may look like a word: they
    say what it is, as in "the user boss".
    """
    text = text.strip()
    if not text:
        return ""
    start = text[0].upper() if _WORD.match(text) else text[0]
    return start + sentence_end(text)[1:]


def sentence_end(text: str) -> str:
    """Returns the text with a full stop at its end, unless it ends a sentence already."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
