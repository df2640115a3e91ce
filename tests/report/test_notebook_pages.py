"""Notebooks as pages: what passes, what becomes text, what is taken out, what failed."""

import bs4
import nbformat
import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.report.notebook_pages import UNFINISHED, read_page, safe_html

PIXEL = "data:image/png;base64,AAAA"
DESCRIBED = "No description has been provided for this image"
ERROR = nbformat.v4.new_output("error", ename="KeyError", evalue="'<b>'\n x", traceback=["t"])


def soup_of(markup: str) -> bs4.BeautifulSoup:
    return bs4.BeautifulSoup(markup, "html.parser")


def write(path, title, *outputs, **metadata):
    cells = [nbformat.v4.new_markdown_cell(f"# {title}"),
             nbformat.v4.new_code_cell("1", outputs=list(outputs))]  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


@pytest.mark.parametrize(
    ("markup", "safe"),
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
        (f'<img alt="{DESCRIBED}" src="{PIXEL}"/>', f'<img alt="Figure" src="{PIXEL}">'),
    ],
)  # fmt: skip
def test_nothing_loads_or_runs_and_no_link_is_dead(markup: str, safe: str) -> None:
    assert safe_html(soup_of(markup), {"A b"}) == safe


def test_a_figure_is_described_by_its_section() -> None:
    heading = '<h2 id="x">Two  words<a class="anchor-link" href="#x">#</a></h2>'
    made = safe_html(soup_of(f'{heading}<img alt="{DESCRIBED}" src="{PIXEL}"/>'), set())
    assert 'alt="Figure: Two words"' in made


def test_columns_of_numbers_and_intervals_are_told_from_the_others() -> None:
    rows = [["name", "top-1", "said"], ["a", "53.8 [48.7, 58.2]", "x" * 40],
            ["b", "not defined", "−1.2 %"]]  # fmt: skip
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[1:])
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    soup = soup_of(safe_html(soup_of(f"<table><tr>{head}</tr>{cells}</table>"), set()))
    assert [[cell["class"] for cell in row.find_all(["td", "th"])] for row in soup("tr")] == [
        [["short"], ["short", "num"], ["short"]],
        [["short"], ["short", "num"], ["long"]],
        [["short"], ["short", "num"], ["short", "num"]],
    ]
    assert soup("td")[1].get_text() == "53.8\xa0[48.7,\xa058.2]"  # one word to a browser


def test_a_good_notebook_has_no_failure(tmp_path) -> None:
    page = read_page(write(tmp_path / "A b.ipynb", "Good", vqa={"after": "all"}), set())
    assert (page.failure, page.across, page.title, page.href) == ("", True, "Good", "A%20b.html")


def test_a_notebook_with_an_error_says_which(tmp_path) -> None:
    path = write(tmp_path / "A.ipynb", "Bad", ERROR)
    for failed in (None, path):
        page = read_page(path, set(), failed)
        assert (page.failure, page.earlier) == ("KeyError: '<b>' x", False)


def test_an_earlier_good_run_is_shown_as_that(tmp_path) -> None:
    good = write(tmp_path / "A.ipynb", "Good")
    page = read_page(good, set(), write(tmp_path / "failed" / "A.ipynb", "Bad"))
    assert (page.title, page.failure, page.earlier) == ("Good", UNFINISHED, True)


def test_outputs_too_long_for_a_browser_are_cut_and_say_so(tmp_path) -> None:
    long = {"text/html": "<p>x</p>" * 100_000, "text/plain": "y" * 600_000}
    outputs = [nbformat.v4.new_output("display_data", long),
               nbformat.v4.new_output("stream", text="z" * 600_000),
               nbformat.v4.new_output("display_data", {"image/png": "A" * 6_000_000})]  # fmt: skip
    page = read_page(write(tmp_path / "A.ipynb", "Long", *outputs), set())
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
