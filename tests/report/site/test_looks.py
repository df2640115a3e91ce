"""The looks of a page: its policy names exactly its own style and script."""

import base64
import hashlib
import re

import pytest

from vqa_helpers.report.site.looks import css, policy, puzzle, shell

pytest.importorskip("pygments")


def test_the_policy_fits_what_the_page_holds() -> None:
    page = shell("a <title>", "body $x", "menu", "<here>")
    for tag in ("style", "script"):
        [text] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy()
    assert "a &lt;title&gt;" in page and "&lt;here&gt;" in page and "body $x" in page


def test_code_has_colours_by_day_and_by_night() -> None:
    rules = re.findall(r"\.highlight \.k \{ color: light-dark\((#\w+), (#\w+)\); \}", css())
    assert len(rules) == 1 and rules[0][0] != rules[0][1]


def test_the_puzzle_is_drawn_with_four_pieces() -> None:
    drawing = puzzle()
    assert drawing.count("<path") == 4
    for path in re.findall(r'd="([^"]+)"', drawing):
        assert path.startswith("M ") and path.endswith("Z")
        assert re.fullmatch(r"[MLCZ\d. -]+", path)
        for curve in re.findall(r"C ([\d. -]+)", path):
            assert len(curve.split()) % 6 == 0
