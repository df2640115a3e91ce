"""The site: safe whatever a notebook shows, whole without a network, no dead links."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.report.badges import badge
from vqa_helpers.report.site import build
from vqa_helpers.report.site.build import build_site
from vqa_helpers.report.tables import RESULT_COLUMNS, Score

pytest.importorskip("nbconvert")
nbformat = pytest.importorskip("nbformat")

PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
        "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
).decode()
QUESTION = 'Is it <script>alert("x")</script> $5 or <img src="https://evil.test/q.png"> $6?'
LOADING = {
    "link",
    "iframe",
    "object",
    "embed",
    "video",
    "audio",
    "source",
    "base",
    "form",
}


class Scan(HTMLParser):
    """All that a page holds: tags with their attributes, and the text a reader sees."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.silent = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        self.silent = tag in ("style", "title", "script")

    def handle_endtag(self, tag: str) -> None:
        self.silent = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self.silent else data

    def all(self, *names: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag in names]


def shown(kind: str, data: str, **metadata: object) -> Any:
    return nbformat.v4.new_output(
        "display_data", {kind: data, "text/plain": "plain"}, metadata=metadata
    )


def hostile() -> Any:
    """A notebook with everything that could run, load or break a page."""
    frame = pd.DataFrame({"question": [QUESTION]})._repr_html_()
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=f"asked: {QUESTION}\n"),
        nbformat.v4.new_output("stream", name="stderr", text="<b>warned</b>"),
        nbformat.v4.new_output(
            "error", ename="E", evalue=QUESTION, traceback=[f"\x1b[31mE\x1b[0m: {QUESTION}"]
        ),
        shown("text/html", frame),
        shown("text/html", '<iframe src="https://evil.test/f"></iframe>'),
        shown("text/html", "isolated <b>part</b>", **{"text/html": {"isolated": True}}),
        shown("text/html", '<p onclick="x()" style="background:url(https://evil.test/b)">p</p>'),
        shown("text/html", '<a href="javascript:x()">j</a><a href="//evil.test">k</a>'),
        shown("text/html", '<svg onload="x()"><image href="https://evil.test/s"/></svg>'),
        shown(
            "text/html", "<style>@import 'https://evil.test/c.css'; td {x: 1}</style><b>bold</b>"
        ),
        shown("application/javascript", "fetch('https://evil.test/j')"),
        shown("application/vnd.jupyter.widget-view+json", '{"model_id": "m"}'),
        shown("text/latex", "$x$"),
        shown("image/png", PIXEL, **{"image/png": {"width": "1 onerror=alert(1)"}}),
    ]
    cells = [
        nbformat.v4.new_markdown_cell(
            f"{badge('https://github.com/ada/vqa', 'notebooks/Hostile.ipynb')}\n\n"
            "# What is *hostile* & why\n\nThe claim, from [the study](https://example.org/study).\n\n"
            "> quoted `a -> b`\n\n| a | b |\n|---|---|\n| 1 | 2 |"
        ),
        nbformat.v4.new_markdown_cell(
            "## Two words\n\nSee [the other](Other%20one.ipynb#top), [a gone one](Gone.ipynb), "
            "[this](#Two-words), [nothing](#nothing), [read me](../README.md).\n\n"
            f"![away](https://evil.test/m.png) ![beside](dot.png) ![gone](no.png)\n\n{QUESTION}"
        ),
        nbformat.v4.new_code_cell("x = 'a < b'  # $1", outputs=outputs, execution_count=1),
    ]
    widgets = {"application/vnd.jupyter.widget-state+json": {"state": {"m": {}}}}
    return nbformat.v4.new_notebook(cells=cells, metadata={"widgets": widgets})


def run_table() -> pd.DataFrame:
    row = dict.fromkeys(RESULT_COLUMNS) | {
        "dataset": "<demo>",
        "preset": "improved_$1",
        "seed": 0,
        "stand-ins": "random-weight vision",
        "test top-1": Score(43.64, 42.1, 45.0),
        "VQA accuracy": "not defined",
        "ceiling": 98.14,
        "train s": float("nan"),
    }
    return pd.DataFrame([row, row | {"dataset": "v2"}], columns=list(RESULT_COLUMNS))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "dot.png").write_bytes(base64.b64decode(PIXEL))
    nbformat.write(hostile(), folder / "Hostile.ipynb")
    other = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_markdown_cell("no heading")]
    )
    nbformat.write(other, folder / "Other one.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "results_table", lambda root: run_table())
        index = build_site(sorted(folder.glob("*.ipynb")), folder / "runs", folder / "out")
    assert index == (folder / "out" / "index.html").resolve()
    return index.parent


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[str, Scan]:
    return {path.name: Scan(path) for path in sorted(built.iterdir())}


def test_there_is_a_page_for_each_notebook_and_nothing_else(
    built: Path, pages: dict[str, Scan]
) -> None:
    assert list(pages) == ["Hostile.html", "Other one.html", "index.html"]
    assert [path.name for path in built.parent.iterdir() if path.name.startswith(".")] == []


def test_no_page_loads_or_runs_anything(built: Path, pages: dict[str, Scan]) -> None:
    for name, page in pages.items():
        loading = [(tag, attributes) for tag, attributes in page.tags if tag in LOADING]
        assert [tag for tag, _ in loading] == ["link"], name
        assert loading[0][1]["href"].startswith("data:image/"), name
        for tag, attributes in page.tags:
            assert not [key for key in attributes if key.startswith("on")], (name, tag)
            assert not {"srcset", "poster", "background", "action", "data"} & set(attributes)
            assert attributes.get("src", "data:").startswith("data:"), (name, tag)
            assert "url(" not in attributes.get("style", ""), (name, tag)
            assert not (tag == "meta" and attributes.get("http-equiv") == "refresh")
        styles = "".join(re.findall(r"<style>(.*?)</style>", (built / name).read_text(), re.DOTALL))
        assert len(styles) > 1000
        assert not re.search(r"https?:|url\(|@import|@font-face", styles), name


def test_the_browser_is_forbidden_to_load_anything(pages: dict[str, Scan]) -> None:
    for page in pages.values():
        [policy] = [tag["content"] for tag in page.all("meta") if "http-equiv" in tag]
        assert policy.startswith("default-src 'none'; img-src data:;")
        assert "'unsafe-inline'" not in policy.replace("style-src-attr 'unsafe-inline'", "")
        assert "*" not in policy and "http" not in policy
        [script] = page.all("script")
        assert script == {}


def test_every_link_leads_somewhere(built: Path, pages: dict[str, Scan]) -> None:
    ids = {name: {a["id"] for _, a in page.tags if "id" in a} for name, page in pages.items()}
    for name, page in pages.items():
        for link in page.all("a"):
            parts = urlsplit(link["href"])
            if parts.scheme:
                assert parts.scheme in ("http", "https"), link
                assert parts.hostname in ("example.org", "colab.research.google.com"), link
                continue
            assert not parts.netloc, link
            target = unquote(parts.path) or name
            assert (built / target).is_file(), link
            if parts.fragment:
                assert {parts.fragment, unquote(parts.fragment)} & ids[target], link


def test_what_is_hostile_is_read_as_text(pages: dict[str, Scan]) -> None:
    text = pages["Hostile.html"].text
    assert f"asked: {QUESTION}" in text
    assert text.count(QUESTION) == 3  # printed, raised, and told at the top of the page
    assert text.count('Is it <script>alert("x")</script> $5 or') == 4  # and cut in a table
    assert text.count('alert("x")') == 5  # and in a text cell, where tags are taken for tags
    assert "<b>warned</b>" in text
    assert "x = 'a < b'  # $1" in text
    assert "quoted a -> b" in text
    assert "@import" not in text, "the style of a table is no text"
    assert "fetch(" not in text


def test_markdown_keeps_its_form(pages: dict[str, Scan]) -> None:
    page = pages["Hostile.html"]
    assert {"h1", "h2", "p", "blockquote", "td", "th", "code"} <= {tag for tag, _ in page.tags}
    assert "improved_$1" in pages["index.html"].text


def test_images_are_inside_and_described(pages: dict[str, Scan]) -> None:
    images = pages["Hostile.html"].all("img")
    assert [image["alt"] for image in images] == ["beside", "Figure: Two words"]
    assert all(image["src"] == f"data:image/png;base64,{PIXEL}" for image in images)
    text = pages["Hostile.html"].text
    assert "away" in text  # the words of an image that lies elsewhere
    assert "gone" in text


def test_the_badge_is_a_plain_link(built: Path, pages: dict[str, Scan]) -> None:
    [link] = [tag for tag in pages["Hostile.html"].all("a") if tag.get("class") == "colab"]
    assert link["href"].endswith("/ada/vqa/blob/main/notebooks/Hostile.ipynb")
    assert "Open in Colab" in pages["Hostile.html"].text
    assert "colab-badge.svg" not in (built / "Hostile.html").read_text()


def test_the_index_names_notebooks_and_results(pages: dict[str, Scan]) -> None:
    text = pages["index.html"].text
    assert "What is hostile & why" in text
    assert "The claim, from the study." in text
    assert "Other one" in text  # its name, for want of a heading
    for cell in (
        "Data: <demo>",
        "Data: v2",
        "43.6 [42.1, 45.0]",
        "98.1",
        "not defined",
        "–",
        "stand-ins: random-weight vision; seed: 0",
        "Stand-ins took the place of the real pieces",
    ):
        assert cell in text
    assert "nan" not in text.lower()


def test_pages_adapt_to_night_and_to_a_phone(built: Path, pages: dict[str, Scan]) -> None:
    for name, page in pages.items():
        content = (built / name).read_text()
        assert "color-scheme: light dark" in content
        assert ".highlight .k { color: light-dark(" in content
        names = [tag.get("name") for tag in page.all("meta")]
        assert "viewport" in names
        assert "color-scheme" in names


def test_the_real_table_without_runs(tmp_path: Path) -> None:
    index = build_site([], tmp_path / "runs", tmp_path / "out")
    assert "No finished runs yet" in Scan(index).text


def test_a_site_is_replaced_as_a_whole_and_nothing_else_is(tmp_path: Path) -> None:
    notebook = tmp_path / "One.ipynb"
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One")]), notebook
    )
    out = tmp_path / "out"
    out.mkdir()
    build_site([notebook], tmp_path / "runs", out)
    assert (out / "One.html").is_file()
    # A build that fails leaves the old site as it is.
    (tmp_path / "Two.ipynb").write_text("{")
    with pytest.raises(InputError, match="Two.ipynb: not a notebook"):
        build_site([tmp_path / "Two.ipynb"], tmp_path / "runs", out)
    assert (out / "One.html").is_file()
    build_site([], tmp_path / "runs", out)
    assert [path.name for path in out.iterdir()] == ["index.html"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "index.html").write_text("<h1>my own</h1>")
    with pytest.raises(InputError, match="something other than a site"):
        build_site([notebook], tmp_path / "runs", mine)
    assert (mine / "index.html").read_text() == "<h1>my own</h1>"
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["One.ipynb", "Two.ipynb", "mine", "out"]


def test_names_that_would_share_a_page_are_refused(tmp_path: Path) -> None:
    for names in (["index"], ["a/One", "b/one"]):
        with pytest.raises(InputError, match="another page has this name"):
            build_site([tmp_path / f"{n}.ipynb" for n in names], tmp_path, tmp_path / "out")


def test_a_notebook_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Gone.ipynb: cannot be read"):
        build_site([tmp_path / "Gone.ipynb"], tmp_path, tmp_path / "out")
