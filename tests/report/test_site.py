"""The site: safe whatever a notebook shows, complete without a network or script, no dead links."""

import base64
import hashlib
import json
import re
import select
import shutil
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

import bs4
import numpy as np
import pandas as pd
import pytest

from tests.builders import write_dataset
from tests.report import samples
from tests.report.browser import check_reads_well, without_script
from tests.report.samples import LONG, NO_RUNS, SHOUT, answers_page
from vqa_helpers.errors import InputError
from vqa_helpers.report.interesting import Example
from vqa_helpers.report.site import build_site, write_site
from vqa_helpers.report.tables import RESULT_COLUMNS, Score
from vqa_helpers.runs import Experiment, Run

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)
# Everything that could run, load or break a page; its last cell failed.
HOSTILE = Path(__file__).with_name("hostile.ipynb").read_text(encoding="utf-8")


def write(path: Path, address: str = "", cells: slice = slice(None, -1)) -> Path:
    """Write some cells of the hostile notebook."""
    made = json.loads(HOSTILE.replace("http://ADDRESS", address))
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "dot.png").write_bytes(PIXEL)
    if path.stem != "First":
        made["metadata"] = {}
    path.write_text(json.dumps({**made, "cells": made["cells"][cells]}))
    return path


def run_rows() -> pd.DataFrame:
    row = dict.fromkeys(RESULT_COLUMNS) | {
        "dataset": "<demo>", "name": "Low_$1", "seeds": 1, "stand-ins": SHOUT, "ceiling": 98.14,
        "scored on": "test", "top-1": Score(10.0, 5.0, 15.0), "VQA accuracy": "not defined",
        "blind top-1": 41.0, "gain over blind": -31.0, "verdict": "worse", "train s": float("nan"),
        "best blind guess": "most frequent",
    }  # fmt: skip
    best = {"name": "First", "stand-ins": "none", "top-1": Score(60.04, 55.0, 65.0)}
    other = {"dataset": "v2", "scored on": "validation", "top-1": Score(51.0, 46.0, 56.0)}
    rows = [row, row | best, row | other | {"gain over blind": None, "verdict": None}]
    return pd.DataFrame(rows, columns=list(RESULT_COLUMNS))


@pytest.fixture(scope="module")
def listener():
    """A port that hostile pages are told to call: its address, and whether one did."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield address, lambda: bool(select.select([server], [], [], 0)[0])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, listener) -> Path:
    folder, (address, _) = tmp_path_factory.mktemp("site") / "notebooks", listener
    good = [write(folder / "First.ipynb", address),
            write(folder / "Second one.ipynb", cells=slice(2))]  # fmt: skip
    failed = [write(folder / "failed" / "Second one.ipynb"),
              write(folder / "failed" / "Third.ipynb", cells=slice(0, None, 3))]  # fmt: skip
    dot = np.zeros((1, 1, 3), np.uint8)
    said = (SHOUT, LONG), (0.999, 0.001)
    return build_site(
        good, folder.parent / "out", failed=failed, scores=run_rows(), puzzle=PIXEL,
        findings=pd.DataFrame({"what": [SHOUT], "points": [1.25]}),
        examples=[Example(SHOUT, "demo", "miss", SHOUT, SHOUT, "giraffe", *said, dot)],
    ).parent  # fmt: skip


@pytest.fixture(scope="module")
def pages(site) -> dict[str, bs4.BeautifulSoup]:
    return {path.name: bs4.BeautifulSoup(path.read_text("utf-8"), "html.parser")
            for path in sorted(site.iterdir())}  # fmt: skip


# --- what the files hold ---


def test_there_is_a_page_for_each_notebook_and_a_policy_in_it(site, pages) -> None:
    assert list(pages) == ["First.html", "Second one.html", "Third.html", "index.html"]
    assert sorted(path.name for path in site.parent.iterdir()) == ["notebooks", "out"]
    for page in pages.values():
        policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
        [script], [style] = page("script"), page("style")
        for tag in (script, style):
            digest = base64.b64encode(hashlib.sha256(tag.string.encode()).digest()).decode()
            assert f"{tag.name}-src 'sha256-{digest}';" in policy
        assert policy.startswith("default-src 'none'; img-src data:;")
        assert "http" not in policy and "*" not in policy
        assert not re.search(r"https?:|url\(|@import|@font-face", style.string)


def test_every_link_leads_somewhere(pages) -> None:
    for name, page in pages.items():
        for link in page("a", href=True):
            parts = urlsplit(link["href"])
            target, anchor = unquote(parts.path) or name, unquote(parts.fragment)
            if parts.scheme == "https":
                assert parts.hostname in ("example.org", "colab.research.google.com"), link
            else:
                assert not parts.netloc and target in pages, link
                assert not anchor or pages[target].find(id=anchor), link


def test_a_notebook_keeps_its_form_and_its_texts(pages) -> None:
    page = pages["First.html"]
    main, text = page.main, page.main.get_text()
    assert "First & best" in main.h1.get_text() and page.title.get_text().startswith("First & best")
    assert f"asked: {SHOUT}" in text and "<b>warned</b>" in text and "a -> b" in text
    assert 'print("x < y", 1.5)' in main.find(class_="input").get_text()
    assert "fetch(" not in text and "@import" not in text
    assert [image["alt"] for image in main("img")] == ["beside", "Figure: A section"]
    assert "away" in text and "above" in text  # the words of images that are not inside
    [badge] = main("a", class_="colab")
    assert badge.get_text() == "Open in Colab"
    assert badge["href"].endswith("/ada/vqa/blob/main/notebooks/First.ipynb")


def test_the_front_page_tells_what_the_runs_said(pages) -> None:
    main = pages["index.html"].main
    text = " ".join(main.get_text().replace("\xa0", " ").split())
    tiles = [" ".join(tile.get_text().split()) for tile in main.select(".tiles li")]
    assert tiles == ["41.0 % the best guess without looking",
                     "60.0 % the best of 2 models, First", "98.1 % the most its answers allow"]  # fmt: skip
    for said in ("Data: <demo>", "Data: v2", "The truth: giraffe", ">99 %", "<1 %"):
        assert said in text
    assert text.count(SHOUT) >= 6  # question, answer, note, finding, stand-ins
    demo, every, v2, _ = main.select("#results ~ .scroll table, #results ~ details table")
    assert [row.th.get_text(strip=True) for row in demo.tbody("tr")] == ["First", "Low_$11"]
    assert demo.find("a")["href"] == "First.html" and len(demo("circle")) == 2
    assert [head.get_text() for head in every("th")] == list(RESULT_COLUMNS[1:])
    assert "51.0 [46.0, 56.0] validation" in " ".join(v2.get_text().split())
    assert "nan" not in text.lower() and "None" not in text
    headings = [heading.get_text() for heading in main.select("#notebooks ~ h3")]
    assert headings == ["Across all runs", "One by one"]
    chips = [chip.get_text() for chip in main.select(".cards .chip")]
    assert chips == ["60.0 % on <demo>", "failed", "failed"]
    assert "The claim." in main.find(class_="cards").get_text()


def test_what_failed_is_shown_as_such(pages) -> None:
    earlier, partly = (pages[name].main for name in ("Second one.html", "Third.html"))
    assert f"KeyError: {SHOUT}" in partly.find(class_="failure").get_text()
    assert "an earlier run that succeeded" in earlier.find(class_="failure").get_text()
    assert "until then" in partly.find(class_="failure").get_text()
    assert (len(earlier(class_="output_error")), len(partly(class_="output_error"))) == (0, 1)
    assert pages["First.html"].find(class_="failure") is None


# --- the folder ---


def test_a_site_is_replaced_as_a_whole_and_nothing_else_is(tmp_path: Path) -> None:
    out, mine, broken = tmp_path / "out", tmp_path / "mine", tmp_path / "Two.ipynb"
    out.mkdir()
    build_site([write(tmp_path / "in" / "One.ipynb")], out, scores=NO_RUNS)
    broken.write_text("{")
    with pytest.raises(InputError, match="Two.ipynb: not a notebook"):
        build_site([broken], out, scores=NO_RUNS)
    assert (out / "One.html").is_file()  # a build that fails leaves the old site as it is
    build_site([], out, scores=NO_RUNS)
    assert [path.name for path in out.iterdir()] == ["index.html"]
    assert "No finished runs yet" in (out / "index.html").read_text()
    mine.mkdir()
    (mine / "index.html").write_text("<h1>my own</h1>")
    with pytest.raises(InputError, match="something other than a site"):
        build_site([], mine, scores=NO_RUNS)
    assert (mine / "index.html").read_text() == "<h1>my own</h1>"
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("names", [["index"], ["a/One", "b/one"], ["Answers-1"]])
def test_names_that_would_share_a_page_are_refused(tmp_path: Path, names) -> None:
    paths = [tmp_path / f"{name}.ipynb" for name in names]
    with pytest.raises(InputError, match="another page has this name"):
        build_site(paths, tmp_path / "out", scores=NO_RUNS, answers=[answers_page(3)])


# --- of runs ---


def front(folder: Path, made: list[Run], **options) -> bs4.BeautifulSoup:
    experiments = [Experiment(run.name, run.config["dataset"], (run,)) for run in made]
    index = write_site(experiments, folder / "out", **options)
    return bs4.BeautifulSoup(index.read_text(encoding="utf-8"), "html.parser").main


def test_a_site_of_runs_alone_shows_examples_of_each_dataset(tmp_path) -> None:
    folders = [write_dataset(tmp_path / name, size_px=16) for name in ("one", "two")]
    made = [Run(samples.write_run(tmp_path, "V", 0, one.name, predictions=samples.right_rows(one)))
            for one in folders]  # fmt: skip
    main = front(tmp_path, made, data=folders)
    assert [why.get_text().split(" – ")[0] for why in main.select(".why")] == [
        "V on one, right", "V on two, right",
    ]  # fmt: skip
    assert len(main.select(".examples img")) == 2 and len(main.select(".bars li")) == 10
    links = [link["href"] for link in main.select(".results a")]
    assert links == ["answers-1.html", "answers-2.html"]
    page = (tmp_path / "out" / "answers-2.html").read_text(encoding="utf-8")
    assert "How many marks are there?" in page and page.count('class="hit"') == 36
    for folder in folders:
        shutil.rmtree(folder / "images")
    main = front(tmp_path, made, data=folders)
    assert main.select(".examples img") == []
    assert [one.get_text() for one in main.select(".no-image")] == ["The image is missing."] * 2


def test_examples_of_a_dataset_and_of_what_was_cut_from_it_are_shown_once(tmp_path) -> None:
    folder = write_dataset(tmp_path / "one", size_px=16)
    said = samples.right_rows(folder)
    whole, cut = (Run(samples.write_run(tmp_path, "V", 0, name, predictions=said))
                  for name in ("one", "one-part"))  # fmt: skip
    for made in [cut], [cut, whole]:
        main = front(tmp_path, made, data=[folder])
        assert len(main.select(".why")) == len(main.select(".examples img")) == 1
        assert main.select_one(".why").get_text().startswith("V on one")


def test_what_the_front_page_says_follows_from_the_runs(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.chdir(tmp_path)  # no data here
    tested = Run(samples.write_run(tmp_path / "a", "V", predictions=samples.answered_rows(0.5)))
    text = front(tmp_path, [tested]).get_text()
    (line,) = caplog.messages
    assert line.startswith("demo: questions are shown by number") and "--data" in line
    assert "scored once" in text and "validation questions, which also chose" not in text
    assert "No example is shown" in text and "Stand-ins" in text
    rows = samples.answered_rows(0.5, split="validation")
    options = {"predictions": rows, "metrics": samples.metrics(50.0, test=False), "stand_ins": []}
    text = front(tmp_path, [Run(samples.write_run(tmp_path / "b", "W", **options))]).get_text()
    assert "scored once" not in text and "validation questions, which also chose" in text
    assert "Stand-ins took" not in text


# --- in a browser ---


def test_every_page_reads_well_and_runs_nothing(browser, site, listener) -> None:
    for page in site.iterdir():
        check_reads_well(browser, page, [320, 390, 768, 1280])
        assert browser.run("typeof window.ran") == "undefined", page.name
    assert not listener[1]()


def test_what_slipped_through_is_stopped_by_the_policy(browser, site, listener, tmp_path) -> None:
    """The same page with markup that no sanitiser saw: nothing runs, nothing is asked for."""
    to, called = listener
    smuggled = (
        f'<script>window.ran = 1</script><img src="{to}/a" onerror="window.ran = 2">'
        f'<iframe src="{to}/b"></iframe><link rel="stylesheet" href="{to}/c">'
        f'<style>body {{ background: url({to}/d) }}</style><form action="{to}/e"></form>'
        '<svg onload="window.ran = 3"></svg><base href="https://example.org/">'
    )
    text = (site / "index.html").read_text(encoding="utf-8").replace("</main>", smuggled)
    (tmp_path / "smuggled.html").write_text(text, encoding="utf-8")
    browser.open(tmp_path / "smuggled.html")
    assert browser.run("typeof window.ran") == "undefined"
    assert not called()
    assert len(browser.complaints) >= 6  # and the policy says so of each


def test_a_page_reads_the_same_without_script(browser, site, tmp_path) -> None:
    for page in site.iterdir():
        browser.open(page)
        with_script = browser.run("mainText()")
        browser.open(without_script(page, tmp_path))
        assert browser.run("mainText()") == with_script and len(with_script) > 300


def test_a_click_sorts_by_number_and_what_is_absent_goes_last(browser, site) -> None:
    browser.open(site / "First.html")
    orders = [browser.run(f"sortedBy({place})") for place in (1, 1, 2, 2, 0)]
    assert orders == ["cba", "abc", "acb", "cab", "cba"]  # largest first
    sorts = "[...document.querySelectorAll('main [aria-sort]')].map(e => e.ariaSort)"
    assert browser.run(sorts) == ["descending"]


def test_colours_follow_the_system_until_the_reader_chooses_and_code_can_be_hidden(
    browser, site
) -> None:
    browser.prefer("light")
    browser.open(site / "index.html")
    day = browser.run("ground()")
    browser.prefer("dark")
    night = browser.run("nextFrame().then(nextFrame).then(ground)")
    assert browser.run("document.querySelector('.theme-tool').textContent") == "Light"
    browser.run("click('.theme-tool')")
    assert browser.run("ground()") == day != night
    browser.open(site / "First.html")  # and it is remembered from page to page
    assert browser.run("ground()") == day
    browser.run("localStorage.clear()")
    browser.open(site / "First.html")
    assert browser.run("ground()") == night
    browser.prefer("light")
    assert browser.run("isVisible('main .input')")
    browser.run("click('.code-tool')")
    assert not browser.run("isVisible('main .input')")
    browser.run("localStorage.clear()")
    browser.open(site / "index.html")
    assert not browser.run("isVisible('.code-tool')")


def test_a_word_is_explained_where_it_stands(browser, site) -> None:
    browser.open(site / "index.html", 390)
    for name in ("top1", "blind", "ceiling", "verdict", "stand-in"):
        assert not browser.run(f"isVisible('#about-{name}')")
        browser.run(f"click('.term[popovertarget=about-{name}]')")
        assert browser.run(f"isVisible('#about-{name}')") and browser.run("stickingOut()") == []
        browser.run(f"document.querySelector('#about-{name}').hidePopover()")


def test_a_long_name_leaves_the_verdict_in_sight(browser, tmp_path) -> None:
    name = "Improved_VQA2015_ResNet+fusion=AttendedProduct+language=SentenceVectors"
    made = samples.write_run(tmp_path / "a", name, predictions=samples.answered_rows(0.5))
    front(tmp_path, [Run(made)])
    browser.open(tmp_path / "out" / "index.html", 1280)
    right = "document.querySelector('{}').getBoundingClientRect().right"
    boxes = (".results", ".results .verdict", ".scroll:has(> .results)")
    table, verdict, frame = (browser.run(right.format(box)) for box in boxes)
    assert verdict <= frame and table >= verdict


@pytest.mark.slow
def test_the_notebooks_of_the_project_read_well(browser, tmp_path) -> None:
    notebooks = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))[::3]
    index = build_site(notebooks, tmp_path / "out", scores=NO_RUNS)
    for page in index.parent.iterdir():
        check_reads_well(browser, page, [390])
