"""Untrusted markup: what passes, what becomes text, what is taken out."""

import pytest

from vqa_helpers.report.site.markup import heading_text, localise, sanitised

bs4 = pytest.importorskip("bs4")
pytest.importorskip("bleach")
PIXEL = "data:image/png;base64,AAAA"


def localised(markup: str) -> str:
    soup = bs4.BeautifulSoup(markup, "html.parser")
    localise(soup, {"A b.ipynb": "A b.html"})
    return str(soup)


@pytest.mark.parametrize(
    ("markup", "safe"),
    [
        ("<h2 id='a'>b</h2><p>c</p>", '<h2 id="a">b</h2><p>c</p>'),
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ('<p onclick="x">y</p>', "<p>y</p>"),
        ('<p style="color: red; position: fixed">1</p>', '<p style="color: red;">1</p>'),
        ("<STYLE>p {color: red}</STYLE><b>1</b>", "<b>1</b>"),
        ('<a href="javascript:x">y</a>', "<a>y</a>"),
        ("$1 & <b>$2", "$1 &amp; <b>$2</b>"),
    ],
)
def test_markup_passes_an_allow_list(markup: str, safe: str) -> None:
    assert sanitised(markup) == safe


@pytest.mark.parametrize(
    ("markup", "left"),
    [
        ('<a href="https://example.org/">x</a>', '<a href="https://example.org/">x</a>'),
        ('<a href="../notebooks/A%20b.ipynb">x</a>', '<a href="A%20b.html">x</a>'),
        ('<a href="C.ipynb">x</a>', "x"),
        ('<a href="#here">x</a><p id="here"></p>', '<a href="#here">x</a><p id="here"></p>'),
        ('<a href="#there">x</a>', "x"),
        ('<a href="data:text/html,x">x</a>', "x"),
        ('<a href="//example.org">x</a>', "x"),
        ('<a href="http://[broken">x</a>', "x"),
        ('<img alt="badge" src="https://example.org/b.svg"/>', "badge"),
        (
            f'<img alt="dot" onerror="x" src="{PIXEL}"/>',
            f'<img alt="dot" decoding="async" loading="lazy" src="{PIXEL}"/>',
        ),
        ('<p style="background-color: url(x)">y</p>', "<p>y</p>"),
        ("<iframe>x</iframe>", "x"),
    ],
)
def test_nothing_loads_and_no_link_is_dead(markup: str, left: str) -> None:
    assert localised(markup) == left


def test_a_figure_is_described_by_its_section() -> None:
    image = f'<img alt="No description has been provided for this image" src="{PIXEL}"/>'
    assert 'alt="Figure"' in localised(image)
    heading = '<h2 id="x">Two  words<a class="anchor-link" href="#x">#</a></h2>'
    assert 'alt="Figure: Two words"' in localised(heading + image)
    assert heading_text(bs4.BeautifulSoup(heading, "html.parser").h2) == "Two words"
