"""Shows the model card of a package, which is Markdown, as a part of a page."""

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

# The heading of the model, above its card, is of level 3.
_HEADING_OFFSET = 3
_LOWEST_HEADING = 6


def card_html(text: str) -> Markup:
    """Returns Markdown as HTML.

    The author of a package is not trusted: tags stay text, and links lead to web addresses only.
    Pictures stay in the package; their description is shown.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            level = min(int(token.tag[1:]) + _HEADING_OFFSET, _LOWEST_HEADING)
            token.tag = f"h{level}"
        token.children = [_without_picture(each) for each in token.children or ()]
    # The renderer escapes all that does not come from the Markdown's own syntax.
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704


def _without_picture(token: Token) -> Token:
    if token.type != "image":
        return token
    return Token("html_inline", "", 0, content=f"<em>Picture: {escape(token.content)}</em>")
