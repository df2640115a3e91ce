"""The site in a real browser: silent, at home, whole on a phone, legible by day and by night."""

import http.server
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from tests.report import samples
from tests.report.site.browser import Browser, find_browser
from vqa_helpers.report.interesting import Example
from vqa_helpers.report.site.build import build_site

pytest.importorskip("nbconvert")
nbformat = pytest.importorskip("nbformat")
PHONE, DESK = 390, 1280
NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
SHOUT = "</script><script>window.ran = 'question'</script><img src=x onerror=\"window.ran='img'\">"
LONG = "x" * 300

# Every visible text against the colour behind it: the ratio of WCAG 2, and the text.
CONTRAST = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255, 255];
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || element.closest("svg, .skip, script, style") || !element.checkVisibility()) continue;
    if (getComputedStyle(element).opacity < 0.5) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.slice(0, 40)]);
  }
  return found;
})()
"""
# Boxes that stick out to the right of the window and cannot be scrolled inside their own box.
STICKING_OUT = """
[...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect();
  if (!box.width || box.right <= innerWidth + 1 || element.closest(".skip")) return false;
  for (let at = element.parentElement; at; at = at.parentElement) {
    if (/(auto|scroll|hidden)/.test(getComputedStyle(at).overflowX)) return false;
  }
  return true;
}).map((element) => `${element.tagName}.${element.className}`)
"""


@pytest.fixture(scope="module")
def browser():
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on this machine; install one: apt-get install chromium")
    opened = Browser(program)
    yield opened
    opened.close()


def notebook(title: str, *outputs, **metadata):
    cells = [
        nbformat.v4.new_markdown_cell(f"# {title}\n\nThe claim. See [the other](Second.ipynb)."),
        nbformat.v4.new_markdown_cell(f"## A section\n\n{SHOUT}\n\n`{LONG}`\n\n{LONG}"),
        nbformat.v4.new_code_cell(
            f"from pathlib import Path  # {LONG}\nprint('x', 1.5)", outputs=list(outputs)
        ),
    ]
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def shown(kind: str, data: str):
    return nbformat.v4.new_output("display_data", {kind: data, "text/plain": "plain"})


def score_table() -> str:
    rows = [("b", "53.8 [48.7, 58.2]", "not defined"), ("a", "9.5 [1.0, 20.0]", "1,200"),
            ("c", "100.0 [97.0, 100.0]", "30")]  # fmt: skip
    cells = "".join(
        f"<tr><td>{name}</td><td>{top}</td><td>{count}</td><td>{SHOUT} prose that needs room "
        "and some more of it</td></tr>"
        for name, top, count in rows
    )
    return (
        "<table><thead><tr><th>name</th><th>test top-1</th><th>count</th><th>said</th></tr></thead>"
        f"<tbody>{cells}</tbody></table>"
    )


@pytest.fixture(scope="module")
def listener():
    """A server that hostile pages are told to call; what it hears is kept."""
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *ignored) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, listener) -> Path:
    root = tmp_path_factory.mktemp("browser")
    address, _ = listener
    outputs = [
        shown("text/html", score_table()),
        shown("text/html", f'<img src="{address}/img"><iframe src="{address}/frame"></iframe>'),
        shown("text/html", f"<style>@import '{address}/css';</style><p onclick=x>styled</p>"),
        shown("text/html", f'<svg onload="window.ran=1"><image href="{address}/svg"/></svg>'),
        shown("application/javascript", f"window.ran = 'js'; fetch('{address}/js')"),
        nbformat.v4.new_output("stream", name="stdout", text=f"asked: {SHOUT}\n{LONG}"),
        nbformat.v4.new_output("stream", name="stderr", text="warned\n"),
    ]
    error = nbformat.v4.new_output(
        "error", ename="KeyError", evalue=SHOUT, traceback=[f"\x1b[31mKeyError\x1b[0m: {SHOUT}"]
    )
    nbformat.write(notebook("First", *outputs, vqa={"after": "all"}), root / "First.ipynb")
    nbformat.write(notebook("Second"), root / "Second.ipynb")
    (root / "failed").mkdir()
    nbformat.write(notebook("Second", error), root / "failed" / "Second.ipynb")
    nbformat.write(notebook("Third", error), root / "failed" / "Third.ipynb")
    for preset, share in (("GUSE_VGG", 0.6), ("1.b", 0.3), ("1.e", 0.4)):
        samples.write_run(
            root / "runs", preset, predictions=samples.answered_rows(share),
            metrics=samples.metrics(100 * share, vqa=60.0), stand_ins=[SHOUT],
        )  # fmt: skip
    picture = np.full((32, 32, 3), 120, dtype=np.uint8)
    example = Example(
        "GUSE_VGG", "hit", "a rule", SHOUT, SHOUT, (SHOUT, LONG, "b", "c", "d"),
        (0.9, 0.05, 0.02, 0.001, 0.0), picture,
    )  # fmt: skip
    index = build_site(
        sorted(root.glob("*.ipynb")), root / "runs", root / "out",
        failed=sorted((root / "failed").glob("*.ipynb")), examples=[example],
    )  # fmt: skip
    return index.parent


def pages(site: Path) -> list[Path]:
    return sorted(site.glob("*.html"))


def test_no_page_complains_runs_or_asks_for_anything(browser, site, listener) -> None:
    _, heard = listener
    for page in pages(site):
        browser.open(page)
        browser.run("scrollTo(0, document.documentElement.scrollHeight)")
        browser.run("new Promise(done => setTimeout(done, 50))")
        assert browser.complaints == [], page.name
        away = [one for one in browser.requests if not one.startswith("data:image/")]
        assert away == [page.as_uri()], page.name
        assert browser.run("typeof window.ran") == "undefined", page.name
    assert heard == []


def test_what_slipped_through_is_stopped_by_the_policy(browser, site, listener, tmp_path) -> None:
    """The same page with markup that no sanitiser saw: nothing runs, nothing is asked for."""
    address, heard = listener
    smuggled = (
        f'<script>window.ran = 1</script><img src="{address}/a" onerror="window.ran = 2">'
        f'<iframe src="{address}/b"></iframe><link rel="stylesheet" href="{address}/c">'
        f'<style>body {{ background: url({address}/d) }}</style><form action="{address}/e"></form>'
        '<svg onload="window.ran = 3"></svg><base href="https://example.org/">'
    )
    page = tmp_path / "smuggled.html"
    text = (site / "index.html").read_text(encoding="utf-8")
    page.write_text(text.replace("</main>", f"{smuggled}</main>"), encoding="utf-8")
    browser.open(page)
    assert browser.run("typeof window.ran") == "undefined"
    assert heard == []
    assert len(browser.complaints) >= 6  # and the policy says so of each


def test_every_link_leads_somewhere(browser, site) -> None:
    anchors = {}
    links = {}
    for page in pages(site):
        browser.open(page)
        anchors[page.name] = set(
            browser.run("[...document.querySelectorAll('[id]')].map(e => e.id)")
        )
        links[page.name] = browser.run("[...document.links].map(a => a.href)")
        assert len(links[page.name]) > 4
    for name, targets in links.items():
        for target in targets:
            parts = urlsplit(target)
            assert parts.scheme == "file", (name, target)
            path = Path(unquote(parts.path))
            assert path.parent == site and path.is_file(), (name, target)
            fragment = unquote(parts.fragment)
            assert not fragment or fragment in anchors[path.name], (name, target)


def test_a_click_leads_to_the_notebook(browser, site) -> None:
    browser.open(site / "index.html")
    browser._events.clear()
    browser.run(
        "[...document.querySelectorAll('.cards a')].find(a => /First/.test(a.textContent)).click()"
    )
    browser.wait_for("Page.loadEventFired")
    assert browser.run("document.querySelector('h1').textContent").startswith("First")


@pytest.mark.parametrize("width", [320, PHONE, 768, DESK])
def test_nothing_sticks_out(browser, site, width) -> None:
    for page in pages(site):
        browser.open(page, width)
        browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert browser.run("document.documentElement.scrollWidth") <= width, page.name
        assert browser.run(STICKING_OUT) == [], page.name


def test_intervals_stay_in_one_line_on_a_phone(browser, site) -> None:
    for page in ("index.html", "First.html"):
        browser.open(site / page, PHONE)
        lines = browser.run(
            "[...document.querySelectorAll('.keep, td.num')].filter(e => /\\[.+\\]/.test(e.innerText))"
            ".map(e => { const range = document.createRange(); range.selectNodeContents(e);"
            " const height = range.getBoundingClientRect().height;"
            " return height / parseFloat(getComputedStyle(e).fontSize); })"
        )
        assert lines and max(lines) < 2, page  # in ems


def test_a_click_sorts_by_number_and_what_is_absent_goes_last(browser, site) -> None:
    browser.open(site / "First.html")
    column = (
        "(place => { const table = document.querySelector('main table');"
        " table.tHead.querySelectorAll('button')[place].click();"
        " return [...table.tBodies[0].rows].map(row => row.cells[0].textContent).join(''); })"
    )
    assert browser.run(f"{column}(1)") == "cba"  # largest first
    assert browser.run(f"{column}(1)") == "abc"
    assert browser.run(f"{column}(2)") == "acb"
    assert browser.run(f"{column}(2)") == "cab"
    assert browser.run(f"{column}(0)") == "cba"
    sorts = "[...document.querySelectorAll('main [aria-sort]')].map(e => e.ariaSort)"
    assert browser.run(sorts) == ["descending"]
    assert browser.complaints == []


def test_colours_follow_the_system_until_the_reader_chooses(browser, site) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    press = "document.querySelector('.theme-tool').click()"
    browser.prefer("light")
    browser.open(site / "index.html")
    day = browser.run(ground)
    browser.prefer("dark")
    night = browser.run(ground)
    assert day != night
    browser.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 20)))")
    assert browser.run("document.querySelector('.theme-tool').textContent") == "Light"
    browser.run(press)
    assert browser.run(ground) == day
    browser.open(site / "Second.html")  # and it is remembered from page to page
    assert browser.run(ground) == day
    browser.run("localStorage.clear()")
    browser.open(site / "Second.html")
    assert browser.run(ground) == night
    browser.prefer("light")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_text_stands_out(browser, site, colours) -> None:
    browser.prefer(colours)
    for page in pages(site):
        browser.open(page)
        browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        measured = browser.run(CONTRAST)
        faint = sorted((round(ratio, 2), text) for ratio, text in measured if ratio < 4.5)
        assert len(measured) > 20
        assert faint == [], page.name
    browser.prefer("light")


def test_code_can_be_hidden(browser, site) -> None:
    browser.open(site / "First.html")
    visible = "document.querySelector('main .input').checkVisibility()"
    assert browser.run(visible)
    browser.run("document.querySelector('.code-tool').click()")
    assert not browser.run(visible)
    browser.run("localStorage.clear()")
    browser.open(site / "index.html")
    assert not browser.run("document.querySelector('.code-tool').checkVisibility()")


def test_what_failed_is_shown_as_such(browser, site) -> None:
    browser.open(site / "index.html")
    chips = "[...document.querySelectorAll('.cards .failed')].map(e => e.parentElement.innerText)"
    failed = browser.run(chips)
    assert len(failed) == 2
    browser.open(site / "Second.html")
    said = browser.run("document.querySelector('.failure').innerText")
    assert "KeyError" in said and "an earlier run that succeeded" in said
    assert browser.run("document.querySelectorAll('.output_error').length") == 0
    browser.open(site / "Third.html")
    assert "until then" in browser.run("document.querySelector('.failure').innerText")
    assert browser.run("document.querySelectorAll('.output_error').length") == 1
    browser.open(site / "First.html")
    assert browser.run("document.querySelector('.failure')") is None


@pytest.mark.slow
def test_the_notebooks_of_the_project_read_well(browser, tmp_path) -> None:
    """Every notebook as it is kept, with the outputs it has: silent, whole and legible."""
    built = build_site(
        sorted(NOTEBOOKS.glob("*.ipynb")), tmp_path / "runs", tmp_path / "out"
    ).parent
    assert len(pages(built)) > 10
    for page in pages(built):
        browser.prefer("light")
        browser.open(page, PHONE)
        assert browser.complaints == [], page.name
        assert [one for one in browser.requests if not one.startswith("data:")] == [page.as_uri()]
        assert browser.run("document.documentElement.scrollWidth") <= PHONE, page.name
        assert browser.run(STICKING_OUT) == [], page.name
        for colours in ("light", "dark"):
            browser.prefer(colours)
            faint = [(ratio, text) for ratio, text in browser.run(CONTRAST) if ratio < 4.5]
            assert faint == [], (page.name, colours)
    browser.prefer("light")
