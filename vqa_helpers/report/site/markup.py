"""Markup that is not to be trusted, made safe and self-contained.

An allow-list of tags and attributes; links that lead somewhere, images that are inside the page,
nothing that loads or runs. Knows nothing of notebooks but that they link to one another.
"""

import base64
import binascii
import io
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from PIL import Image

from vqa_helpers.report.site.cells import mark_cells

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

TAGS = frozenset(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption "
    "figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li ol p pre s small span strong sub summary sup "
    "table tbody td tfoot th thead tr u ul".split()
)
ATTRIBUTES = frozenset(
    "align alt class colspan height href id rowspan scope src start style title width".split()
)
COLOURS_AND_LAYOUT = frozenset(
    "background-color border border-radius color display font-family font-size font-style "
    "font-weight height margin max-width min-width padding text-align vertical-align "
    "white-space width".split()
)


def sanitised(markup: str | bytes) -> str:
    """Markup with allowed tags and attributes; every other tag becomes visible text."""
    import bleach
    from bleach.css_sanitizer import CSSSanitizer
    from bs4 import BeautifulSoup

    text = markup.decode() if isinstance(markup, bytes) else str(markup)
    if "<style" in text.lower():  # tables of pandas bring one; as text it would be noise
        soup = BeautifulSoup(text, "html.parser")
        for style in soup("style"):
            style.decompose()
        text = str(soup)
    return bleach.clean(
        text,
        tags=TAGS,
        attributes={"*": list(ATTRIBUTES)},
        protocols=["http", "https", "mailto", "data"],
        css_sanitizer=CSSSanitizer(allowed_css_properties=COLOURS_AND_LAYOUT),
    )


def localise(soup: "BeautifulSoup", files: dict[str, str]) -> None:
    """Leave nothing that loads, runs, or leads nowhere.

    Args:
        files: page of each notebook by its file name, for links from notebook to notebook.
    """
    for tag in soup.find_all(True):
        if tag.name not in TAGS:
            tag.unwrap()
            continue
        kept = {name: value for name, value in tag.attrs.items() if name in ATTRIBUTES}
        if "url(" in str(kept.get("style", "")).lower():
            del kept["style"]
        tag.attrs = kept
    heading = ""
    for tag in soup.find_all(["h1", "h2", "h3", "h4", "img"]):
        if tag.name != "img":
            heading = heading_text(tag)
        elif tag.get("src", "").startswith("data:image/"):
            if tag.get("alt", "").startswith("No description"):  # nbconvert's words
                tag["alt"] = f"Figure: {heading}" if heading else "Figure"
            _at_leisure(tag)
        else:  # a badge, or a file that is not there: its words remain
            tag.replace_with(tag.get("alt", ""))
    ids = {tag["id"] for tag in soup.find_all(id=True)}
    for link in soup.find_all("a"):
        target = _target(link.get("href", ""), files, ids)
        if target is None:
            link.unwrap()
            continue
        link["href"] = target
        if urlsplit(target).hostname == "colab.research.google.com":
            link["class"] = "colab"
    for table in soup.find_all("table"):
        table.attrs = {name: table[name] for name in ("class", "id") if name in table.attrs}
        mark_cells(table)
        table.wrap(soup.new_tag("div", attrs={"class": "scroll"}))


def _at_leisure(image: "Tag") -> None:
    """Let an image be decoded when it comes into view, and keep its place until then."""
    image["loading"], image["decoding"] = "lazy", "async"
    encoded = image["src"].partition(";base64,")[2]
    try:
        # The size stands at the beginning, but in a JPEG anywhere among its headers.
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as opened:
            image["width"], image["height"] = map(str, opened.size)
    except (OSError, ValueError, binascii.Error, Image.DecompressionBombError):
        for name in ("width", "height"):
            image.attrs.pop(name, None)


def _target(href: str, files: dict[str, str], ids: set[str]) -> str | None:
    """Where a link leads on the site, or None if nowhere."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    if parts.scheme in ("http", "https", "mailto"):
        return href
    if parts.scheme or parts.netloc:
        return None
    if parts.path:
        page = files.get(Path(unquote(parts.path)).name)
        return quote(page) if page else None
    return href if parts.fragment in ids or unquote(parts.fragment) in ids else None


def heading_text(heading: "Tag") -> str:
    words = [text for text in heading.strings if text.parent.get("class") != ["anchor-link"]]
    return " ".join("".join(words).split())
