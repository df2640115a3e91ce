"""Notebooks as pages: what passes, what becomes text, what is taken out, what failed."""

import bs4
import nbformat
import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.report.notebook_pages import UNFINISHED, read_page, safe_html

PIXEL = "data:image/png;base64,AAAA"
UNNAMED = "No description has been provided for this image"
ERROR = nbformat.v4.new_output("error", ename="KeyError", evalue="'<b>'\n x", traceback=["t"])


def safe(markup: str) -> str:
    return safe_html(bs4.BeautifulSoup(markup, "html.parser"), {"A b"})


def write(path, *outputs, **metadata):
    cells = [nbformat.v4.new_markdown_cell(f"# {path.parent.name}")]
    cells.append(nbformat.v4.new_code_cell("1", outputs=list(outputs)))
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


@pytest.mark.parametrize(
    ("markup", "left"),
    [
        ("<h2 id='a'>b</h2><p>c</p>", '<h2 id="a">b</h2><p>c</p>'),
        ("$1 &amp; <b>$2", "$1 &amp; <b>$2</b>"),
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("<iframe>x</iframe>", "&lt;iframe&gt;x&lt;/iframe&gt;"),
        ("<STYLE>p {color: red}</STYLE><b>1</b>", "<b>1</b>"),
        ('<p onclick="x">y</p>', "<p>y</p>"),
        ('<p style="color: red; position: fixed">1</p>', '<p style="color: red;">1</p>'),
        ('<p style="background-color: URL(x)">y</p>', "<p>y</p>"),
        ('<a href="javascript:x">y</a>', "y"),
        ('<a href="data:text/html,x">x</a>', "x"),
        ('<a href="//example.org">x</a>', "x"),
        ('<a href="http://[broken">x</a>', "x"),
        ('<a href="https://example.org/">x</a>', '<a href="https://example.org/">x</a>'),
        ('<a href="../notebooks/A%20b.ipynb">x</a>', '<a href="A%20b.html">x</a>'),
        ('<a href="C.ipynb">x</a>', "x"),
        ('<a href="#here">x</a><p id="here"></p>', '<a href="#here">x</a><p id="here"></p>'),
        ('<a href="#there">x</a>', "x"),
        ('<img alt="badge" src="https://example.org/b.svg"/>', "badge"),
        (f'<img alt="dot" onerror="x" src="{PIXEL}"/>', f'<img alt="dot" src="{PIXEL}">'),
        (f'<img alt="{UNNAMED}" src="{PIXEL}"/>', f'<img alt="Figure" src="{PIXEL}">'),
        (f'<h2>a  b</h2><img alt="{UNNAMED}" src="{PIXEL}"/>',
         f'<h2>a  b</h2><img alt="Figure: a b" src="{PIXEL}">'),
    ],
)  # fmt: skip
def test_nothing_loads_or_runs_and_no_link_is_dead(markup: str, left: str) -> None:
    assert safe(markup) == left


def test_columns_of_numbers_and_intervals_are_told_from_the_others() -> None:
    rows = [("name", "top-1", "said"), ("a", "53.8 [48.7, 58.2]", "x" * 40),
            ("b", "not defined", "−1.2 %")]  # fmt: skip
    markup = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[1:])
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    table = bs4.BeautifulSoup(safe(f"<table><tr>{head}</tr>{markup}</table>"), "html.parser")
    classes = [" ".join(cell["class"]) for cell in table(["th", "td"])]
    assert classes == ["short", "short num", "short", "short", "short num", "long",
                       "short", "short num", "short num"]  # fmt: skip


def test_a_page_says_whether_its_notebook_failed(tmp_path) -> None:
    good = write(tmp_path / "good" / "A b.ipynb", vqa={"after": "all"})
    page = read_page(good, set())
    assert (page.failure, page.across, page.title, page.href) == ("", True, "good", "A%20b.html")
    bad = write(tmp_path / "bad" / "A b.ipynb", ERROR)
    for failed in (None, bad):
        page = read_page(bad, set(), failed)
        assert (page.title, page.failure, page.earlier) == ("bad", "KeyError: '<b>' x", False)
    page = read_page(good, set(), write(tmp_path / "stopped" / "A b.ipynb"))
    assert (page.title, page.failure, page.earlier) == ("good", UNFINISHED, True)


def test_outputs_too_long_for_a_browser_are_cut_and_say_so(tmp_path) -> None:
    long = {"text/html": "<p>x</p>" * 100_000, "text/plain": "y" * 600_000}
    outputs = [nbformat.v4.new_output("display_data", long),
               nbformat.v4.new_output("stream", text="z" * 600_000),
               nbformat.v4.new_output("display_data", {"image/png": "A" * 6_000_000})]  # fmt: skip
    page = read_page(write(tmp_path / "A.ipynb", *outputs), set())
    assert len(page.body) < 1_100_000
    for said in ("text/html: 800,000", "image/png: 6,000,000", "… 100,000 more"):
        assert f"{said} characters, left out" in page.body


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"cells": 3}',
                '{"cells": [{"cell_type": "z"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}']
)  # fmt: skip
def test_what_is_no_notebook_is_refused_in_one_line(tmp_path, content) -> None:
    (tmp_path / "A.ipynb").write_text(content)
    with pytest.raises(InputError, match=r"A.ipynb: not a notebook.*$"):
        read_page(tmp_path / "A.ipynb", set())
    with pytest.raises(InputError, match="Gone.ipynb: cannot be read"):
        read_page(tmp_path / "Gone.ipynb", set())
