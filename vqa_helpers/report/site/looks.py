"""How every page looks and what it may do: style sheet, script, content policy.

Both stand inside the page; the policy names each by its hash, so nothing else may run or load,
whatever a notebook smuggles in.
"""

import base64
import functools
import hashlib
import html
from pathlib import Path
from string import Template

from vqa_helpers.report.drawings import PIECES, outline

HERE = Path(__file__).parent
CODE_COLOURS = ("default", "github-dark")  # pygments' names, by day and by night


def shell(title: str, body: str, menu: str, current: str = "") -> str:
    """A whole page.

    Args:
        body: markup of its content.
        menu: markup of the list of all pages.
        current: name of the page, shown beside the site's in the head of the page.
    """
    template = Template((HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(title), policy=policy(), css=css(), script=script(), menu=menu,
        body=body, current=html.escape(current),
    )  # fmt: skip


@functools.cache
def script() -> str:
    return (HERE / "site.js").read_text(encoding="utf-8")


@functools.cache
def css() -> str:
    """Our style sheet, and the colours of code by day and by night."""
    return (HERE / "site.css").read_text(encoding="utf-8") + _code_colours()


def policy() -> str:
    """What the browser may do: show images that are inside, apply our style, run our script."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(css())}'; "
        f"style-src-attr 'unsafe-inline'; script-src '{_hash(script())}'; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _code_colours() -> str:
    from pygments.styles import get_style_by_name
    from pygments.token import STANDARD_TYPES

    day, night = (get_style_by_name(name) for name in CODE_COLOURS)
    inks = [f"#{style.style_for_token(())['color'] or ink}" for style, ink in
            ((day, "1f2a33"), (night, "e6edf3"))]  # fmt: skip
    rules = [f".highlight {{ color: light-dark({inks[0]}, {inks[1]}); }}"]
    for token, name in STANDARD_TYPES.items():
        if not name:
            continue
        one, other = day.style_for_token(token), night.style_for_token(token)
        colours = [
            f"#{s['color']}" if s["color"] else ink
            for s, ink in zip((one, other), inks, strict=True)
        ]
        if colours != inks:
            rules.append(f".highlight .{name} {{ color: light-dark({colours[0]}, {colours[1]}); }}")
        if one["bold"]:
            rules.append(f".highlight .{name} {{ font-weight: 700; }}")
        if one["italic"]:
            rules.append(f".highlight .{name} {{ font-style: italic; }}")
    return "\n" + "\n".join(rules) + "\n"


def puzzle() -> str:
    """The four pieces that fit, as a drawing inside the page; the style sheet colours it."""
    one, two = ((0.5, 1),), ((0.25, -1), (0.75, -1))
    # Drawn from the upper left corner down, as the web does: language lies below vision.
    shapes = {
        "vision": ((0, 0, 175, 110), (), one, (84, 55), "image to vector"),
        "language": ((0, 110, 175, 110), (), one, (84, 165), "question to vector"),
        "fusion": ((175, 0, 175, 220), two, one, (272, 110), "two vectors to one"),
        "classifier": ((350, 0, 175, 220), ((0.5, -1),), (), (449, 110), "vector to answer"),
    }
    parts = []
    for name in PIECES:
        (x, y, width, height), left, right, (at, middle), does = shapes[name]
        path = outline(x, y, width, height, 58, left, right)
        parts.append(
            f'<g class="{name}"><path d="{_path_data(path)}"/>'
            f'<text x="{at}" y="{middle - 4}">{name}</text>'
            f'<text x="{at}" y="{middle + 18}" class="does">{does}</text></g>'
        )
    label = "Four pieces that fit: vision and language into fusion, fusion into the classifier"
    return (
        f'<svg class="jigsaw" viewBox="-2 -2 529 224" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _path_data(path) -> str:
    """A matplotlib path as SVG writes it."""
    letters = {path.MOVETO: "M", path.LINETO: "L", path.CURVE4: "C", path.CLOSEPOLY: "Z"}
    words, pending = [], 0
    for (x, y), code in zip(path.vertices, path.codes, strict=True):
        if code == path.CLOSEPOLY:
            words.append("Z")
            continue
        if code != path.CURVE4 or pending == 0:
            words.append(letters[code])
            pending = 3 if code == path.CURVE4 else 0
        pending = max(0, pending - 1)
        words.append(f"{x:.1f} {y:.1f}")
    return " ".join(words)
