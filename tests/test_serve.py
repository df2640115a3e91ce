"""The server: right answers, refusals in one line, nothing kept, and a page that a browser shows."""

import asyncio
import base64
import io
import json
import os
import signal
import socket
import struct
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.calling import QUICK, python, refused
from tests.pieces import own_pieces
from tests.report.browser import Browser, find_browser
from vqa_helpers.api import load
from vqa_helpers.cli import main

httpx = pytest.importorskip("httpx")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("place"),
    pytest.mark.skipif(find_spec("gradio") is None, reason="the server's packages are not here"),
]

QUESTION = "What color is the ground?"


def picture(shade: int = 0, kind: str = "PNG", side: int = 40) -> bytes:
    packed = io.BytesIO()
    pixels = np.random.default_rng(shade).integers(0, 255, (side, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(packed, kind)
    return packed.getvalue()


def bomb() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + sum_

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0" * 99))


def form(image: bytes = picture(), question: str = QUESTION, name: str = "a.png") -> dict:
    return {"data": {"question": question}, "files": {"image": (name, image, "image/png")}}


def as_json(**sent) -> dict:
    return {"content": json.dumps(sent), "headers": {"content-type": "application/json"}}


def body(content: bytes, kind: str) -> dict:
    return {"content": content, "headers": {"content-type": kind}}


HOSTILE = {
    "no image": (form(b"hello"), 422), "empty": (form(b""), 422), "bomb": (form(bomb()), 422),
    "truncated": (form(picture(side=400)[:9999]), 422), "page": (form(b"<script>1</script>"), 422),
    "postscript": (form(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF"), 422),
    "zeros": (form(bytes(99_999)), 422), "11 MB": (form(os.urandom(11 << 20)), 413),
    "20 MB": (form(bytes(20 << 20)), 413), "no question": (form(question=" \n"), 422),
    "long question": (form(question="x" * 501), 422), "null": (form(question="a\0b"), 422),
    "1 MB question": (form(question="x" * (1 << 20) + "x"), 400),
    "text for image": ({"data": {"image": "x", "question": "x"}, "files": {"a": b""}}, 422),
    "file for question": ({"files": {"question": picture()}}, 422),
    "two files": ({"files": [("image", picture()), ("image", picture())]}, 400),
    "broken": (body(b"--x\r\nrubbish", "multipart/form-data; boundary=y"), 400),
    "boundless": (body(b"--x", "multipart/form-data"), 400),
    "other type": (body(picture(), "image/png"), 415), "untyped": ({"content": b"hello"}, 415),
    "no JSON": (body(b"{", "application/json"), 422),
    "deep JSON": (body(b"[" * 99_999, "application/json"), 422),
    "a list": (as_json(), 422), "no base64": (as_json(image="@@", question=QUESTION), 422),
    "no data": (as_json(image="data:image/png;base64", question=QUESTION), 422),
    "half a letter": (as_json(image="aaaa", question="\ud800"), 422),
    "number": (as_json(image=3, question=3), 422),
}  # fmt: skip


@pytest.fixture
def serving():
    """The module, which takes seconds to import."""
    return import_module("vqa_helpers.serve")


@pytest.fixture(scope="module")
def runs(place, data):
    """A run that sees, and a blind one."""
    for preset in ("1.e", "Question_Only"):
        assert main(["train", preset, "--data", str(data), "--epochs", "1", *QUICK]) == 0
    return [place / "runs" / "tiny" / preset / "0" for preset in ("1.e", "Question_Only")]


@pytest.fixture(scope="module")
def server(runs, tmp_path_factory):
    """A server in a process of its own: its address, its number, and where it keeps what it is sent."""
    uploads = tmp_path_factory.mktemp("uploads")
    for owner in (2**22 + 1, 2**70, os.getpid(), "1x"):  # of none; of one alive; of nobody's
        (uploads / f"vqa-serve-{owner}-x").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(uploads))
        process = python("serve", runs[0], "--blind", runs[1], "--port", 0, "--device", "cpu")
    address = process.stdout.readline().split()[0]
    yield address, process.pid, uploads
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def answerers(runs):
    return [load(run, device="cpu") for run in runs]


def expected(answerers, image: bytes, question: str) -> dict:
    """What the runs themselves answer."""
    path = Path(f"asked-{zlib.crc32(image)}")
    path.write_bytes(image)
    given = answerers[0].answer(path, question), answerers[1].answer(None, question)
    rows = [[{"answer": a.text, "probability": a.probability} for a in each] for each in given]
    return {"question": question, "answers": rows[0], "blind": rows[1]}


def same(given: dict, wanted: dict) -> bool:
    for side in ("answers", "blind"):
        for one, other in zip(given.pop(side), wanted[side], strict=True):
            assert one["answer"] == other["answer"]
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)
    return given == {"question": wanted["question"]}


# JSON over HTTP -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_form_and_json_are_answered_as_by_the_runs_that_it_names(server, answerers, kind):
    image, question = picture(kind=kind, side=90), "¿Qué <b>color</b>?"
    wanted = expected(answerers, image, question)
    assert len(wanted["answers"]) == len(wanted["blind"]) == 5
    given = httpx.post(f"{server[0]}/answer", **form(image, question, "../../<b>.png"), timeout=60)
    assert given.status_code == 200 and same(given.json(), wanted)
    coded = base64.b64encode(image).decode()
    folded = base64.encodebytes(image).decode().replace("\n", "\r\n  ")
    for text in (coded, folded, f" DATA:image/{kind.lower()};base64,{coded}"):
        sent = as_json(image=text, question=question)
        assert same(httpx.post(f"{server[0]}/answer", **sent, timeout=60).json(), wanted)
    about = httpx.get(f"{server[0]}/about").json()
    assert about == {"model": answerers[0].about, "blind": answerers[1].about}


def test_what_a_killed_server_left_is_cleared(server):
    _, number, uploads = server
    owners = sorted(path.name.split("-")[2] for path in uploads.glob("vqa-serve-*"))
    assert owners == sorted(map(str, (number, os.getpid(), "1x")))


@pytest.mark.parametrize(("sent", "status"), HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_answered_is_refused_in_one_line(server, sent, status):
    given = httpx.post(f"{server[0]}/answer", **sent, timeout=60)
    assert given.status_code == status
    assert list(given.json()) == ["error"] and "\n" not in given.json()["error"]
    assert " object at 0x" not in given.json()["error"]


def test_an_empty_question_is_told_in_plain_words(server):
    given = httpx.post(f"{server[0]}/answer", **form(question=" \n"), timeout=60)
    assert given.json() == {"error": "question: is empty; ask something"}


def test_a_client_that_is_slow_or_goes_away_is_let_go(serving, monkeypatch):
    sent = []

    async def gone():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    def ask(receive):
        scope = {"type": "http", "method": "POST", "headers": []}
        asyncio.run(serving.bounded(None)(scope, receive, send))  # there is nothing to answer

    monkeypatch.setattr(serving, "ARRIVING_S", 0.05)
    ask(gone)
    assert sent == []
    ask(partial(asyncio.sleep, 60))
    assert sent[0]["status"] == 400 and b"not all arrived within 0.05 seconds" in sent[1]["body"]


def test_one_is_answered_sixteen_wait_and_the_next_is_refused(serving):
    async def ask():
        service, busy = serving.Service(None, None), []

        def work(number):
            busy.append(number)
            assert len(busy) == 1
            time.sleep(0.02)
            return busy.pop()

        asked = [service.in_turn(work, number) for number in range(18)]
        return await asyncio.gather(*asked, return_exceptions=True)

    *answered, last = asyncio.run(ask())
    assert answered == list(range(17))
    assert last.status_code == 503 and "16 are waiting already" in last.detail


def test_a_thousand_are_answered_among_two_hundred_that_are_hostile(server, answerers):
    address, pid, _ = server
    images = [picture(shade) for shade in range(5)]
    wanted = [expected(answerers, image, QUESTION) for image in images]
    hostile = [HOSTILE[name] for name in HOSTILE if "MB" not in name]

    def ask(number: int) -> int:
        if number % 6 == 5:
            sent, status = hostile[number // 6 % len(hostile)]
            given = client.post("/answer", **sent)
            return 1 if given.status_code == status and given.json()["error"] else 0
        given = client.post("/answer", **form(images[number % 5]))
        return 2 if given.status_code == 200 and same(given.json(), wanted[number % 5]) else 0

    with httpx.Client(base_url=address, timeout=60) as client, ThreadPoolExecutor(8) as threads:
        quarters, held = [], []
        for first in range(0, 1200, 300):
            quarters += threads.map(ask, range(first, first + 300))
            held.append(psutil.Process(pid).memory_info().rss)
    assert quarters.count(2) == 1000 and quarters.count(1) == 200
    assert held[-1] - held[0] < 40e6


# The page -----------------------------------------------------------------------------------------


class Page:
    """The page in a browser, used as a person would."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser, self.run = browser, browser.run
        browser.open(address)
        self.wait(
            "document.querySelector('input[type=file]') && document.querySelector('textarea')"
        )

    def wait(self, condition: str) -> None:
        until = time.monotonic() + 60
        while not self.run(f"!!({condition})"):
            assert time.monotonic() < until, self.run("document.body.innerText")
            time.sleep(0.1)

    def drop(self, file: Path) -> None:
        root = self.browser.send("DOM.getDocument")["root"]["nodeId"]
        where = {"nodeId": root, "selector": "input[type=file]"}
        node = self.browser.send("DOM.querySelector", **where)["nodeId"]
        self.browser.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])
        self.wait("/Ask about it|is not an image/.test(document.body.innerText)")

    def ask(self, question: str) -> None:
        self.run("document.querySelector('textarea').select()")
        self.browser.send("Input.insertText", text=question)
        self.run("document.querySelector('.submit-button').click()")


@pytest.fixture(scope="module")
def browser():
    if find_browser() is None:
        pytest.skip("no Chromium here")
    opened = Browser(find_browser(), "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    yield opened
    opened.close()


@pytest.fixture
def page(browser, server):
    return Page(browser, server[0])


def test_a_photograph_is_dropped_asked_about_and_forgotten(page, server, answerers, tmp_path):
    photograph = tmp_path / "<img src=x onerror=alert(1)>.png"
    photograph.write_bytes(picture())
    page.drop(photograph)
    for question in ("<b>What</b> color?", QUESTION):
        page.ask(question)
        page.wait(f"document.querySelector('#answers h2')?.innerText === {json.dumps(question)}")
        page.wait("document.querySelector('.looked')?.complete")
        wanted = expected(answerers, picture(), question)
        shown = page.run("[...document.querySelectorAll('.strip li')].map(c => c.innerText)")
        assert [cell.split() for cell in shown] == [
            [*a["answer"].split(), f"{100 * a['probability']:.0f}", "%"]
            for a in wanted["answers"] + wanted["blind"]
        ]
        until = time.monotonic() + 20
        while any(path.is_file() for path in server[2].rglob("*")):
            assert time.monotonic() < until  # the second question is about a file that is gone
            time.sleep(0.1)
    assert page.run("document.querySelector('.looked').naturalWidth") == 32  # what the model saw
    elsewhere = [
        r for r in page.browser.requests if not r.startswith((server[0], "data:", "blob:"))
    ]
    assert elsewhere == []


def test_a_file_that_is_no_photograph_is_refused_on_the_page(page, tmp_path):
    for name, content in (("good", picture()), ("bad", b"hello")):
        (tmp_path / f"{name}.png").write_bytes(content)
    page.drop(tmp_path / "good.png")
    page.drop(tmp_path / "bad.png")
    page.wait("document.body.innerText.includes('image: is not an image; send a photograph')")
    page.ask(QUESTION)  # not about the good one, which is no longer shown
    page.wait("document.body.innerText.includes('drop a photograph first')")


def test_the_page_reads_no_file_of_the_server_and_no_address(server, tmp_path):
    (tmp_path / "private.png").write_bytes(picture())
    for path, told in (
        (str(tmp_path / "private.png"), ""),
        ("http://example.com/a.png", "not where"),
    ):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for number, sent in ((0, [file]), (2, [file, file])):
            event = {"data": sent, "fn_index": number, "session_hash": f"{path}{number}"}
            httpx.post(f"{server[0]}/gradio_api/queue/join", json=event, timeout=60)
            where = f"{server[0]}/gradio_api/queue/data"
            text = httpx.get(where, params={"session_hash": f"{path}{number}"}, timeout=60).text
            assert '"success":false' in text and "iVBOR" not in text and told in text
    assert not any(path.is_file() for path in server[2].rglob("private*"))


def test_what_the_page_would_not_send_is_refused_as_in_json(server):
    for number, square in enumerate(("@@", 3, "aaaa")):
        event = {"data": [square, QUESTION], "fn_index": 2, "session_hash": f"square{number}"}
        httpx.post(f"{server[0]}/gradio_api/queue/join", json=event, timeout=60)
        where = f"{server[0]}/gradio_api/queue/data"
        text = httpx.get(where, params={"session_hash": f"square{number}"}, timeout=60).text
        assert '"success":false' in text and '"error":"image: ' in text


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_page_can_be_read_on_a_telephone_and_in_the_dark(page, colours, tmp_path):
    page.browser.prefer(colours)
    (tmp_path / "a.png").write_bytes(picture())
    page.drop(tmp_path / "a.png")
    page.ask(QUESTION)
    page.wait("document.querySelector('.looked')?.complete")
    for width in (1280, 390):
        page.browser.send("Emulation.setDeviceMetricsOverride", width=width, height=844,
                          deviceScaleFactor=1, mobile=False)  # fmt: skip
        page.wait(f"innerWidth === {width} && document.documentElement.scrollWidth <= {width}")
        seen = page.run("contrasts()")
        assert len(seen) > 20 and [row for row in seen if row[0] < 4.5] == []


# The command --------------------------------------------------------------------------------------


@pytest.fixture
def vqa(capsys):
    def call(*words):
        capsys.readouterr()
        return main([str(word) for word in words]), *capsys.readouterr()

    return call


def test_a_port_in_use_and_runs_on_the_wrong_side_are_one_line(vqa, runs):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(vqa("serve", runs[0], "--device", "cpu", "--port", port))
    assert f"port {port}: Address already in use" in line and "choose another with --port" in line
    for words in ([runs[1]], [runs[0], "--blind", runs[0]]):
        assert "RUN has to see photographs" in refused(vqa("serve", *words, "--device", "cpu"))
    assert "choose another" in refused(vqa("serve", runs[0], "--port", 99_999, "--device", "cpu"))


def test_without_its_packages_it_says_what_to_install(serving, vqa, runs, monkeypatch):
    monkeypatch.delitem(sys.modules, "vqa_helpers.serve")
    monkeypatch.setitem(sys.modules, "gradio", None)
    line = refused(vqa("serve", runs[0], "--device", "cpu"))
    assert "the page needs gradio; pip install 'vqa-helpers[serve]'" in line


def test_an_own_piece_is_served_where_it_is_named_until_interrupted(vqa, data, tmp_path):
    own, out = ["--pieces", own_pieces.__file__], tmp_path / "run"
    words = ["--data", data, "--epochs", "1", "--fusion", "Gated", "--out", out]
    assert vqa("train", "1.e", *words, *own, *QUICK)[0] == 0
    assert "--pieces FILE.py" in refused(vqa("serve", out, "--device", "cpu"))
    process = python("serve", out, *own, "--port", 0, "--device", "cpu", "--host", "0.0.0.0")
    port = process.stdout.readline().split()[0].rsplit(":")[-1]
    given = httpx.post(f"http://127.0.0.1:{port}/answer", **form(), timeout=60)
    assert given.status_code == 200 and given.json()["blind"] == []
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert error.splitlines() == [
        "0.0.0.0: whoever reaches this machine can ask, and nothing is encrypted",
        "vqa: no longer serving",
    ]
