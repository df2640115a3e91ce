"""Notebooks as pages: what failed says so, wherever it lies."""

import pytest

from vqa_helpers.report.site.build import build_site
from vqa_helpers.report.site.pages import UNFINISHED, read_page

pytest.importorskip("nbconvert")
nbformat = pytest.importorskip("nbformat")


def write(path, title, *outputs, **metadata):
    cells = [nbformat.v4.new_markdown_cell(f"# {title}"),
             nbformat.v4.new_code_cell("1", outputs=list(outputs))]  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


ERROR = nbformat.v4.new_output("error", ename="KeyError", evalue="'<b>'\n x", traceback=["t"])


def test_a_good_notebook_has_no_failure(tmp_path) -> None:
    page = read_page(write(tmp_path / "A.ipynb", "Good", vqa={"after": "all"}), {})
    assert (page.failure, page.across, page.file) == ("", True, "A.html")
    assert "failure" not in page.body


def test_a_notebook_with_an_error_says_which(tmp_path) -> None:
    path = write(tmp_path / "A.ipynb", "Bad", ERROR)
    for failed in (None, path):
        page = read_page(path, {}, failed)
        assert page.failure == "KeyError: '<b>' x"
        assert (
            "<code>KeyError: &#x27;&lt;b&gt;&#x27; x</code> What it showed until then" in page.body
        )


def test_an_earlier_good_run_is_shown_as_that(tmp_path) -> None:
    good = write(tmp_path / "A.ipynb", "Good")
    page = read_page(good, {}, write(tmp_path / "failed" / "A.ipynb", "Bad"))
    assert page.title == "Good" and page.failure == UNFINISHED
    assert "an earlier run that succeeded" in page.body


def test_the_site_holds_what_failed(tmp_path) -> None:
    good = write(tmp_path / "A.ipynb", "Good")
    failed = [write(tmp_path / "failed" / name, "Bad", ERROR) for name in ("A.ipynb", "B.ipynb")]
    out = build_site([good], tmp_path / "runs", tmp_path / "out", failed=failed).parent
    assert sorted(path.name for path in out.iterdir()) == ["A.html", "B.html", "index.html"]
    assert "<h1" in (out / "A.html").read_text() and ">Good<" in (out / "A.html").read_text()
    assert (out / "index.html").read_text().count('<span class="chip failed">') == 6
