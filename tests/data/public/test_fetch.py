"""One file over a real connection: cut, refused, lied about, resumed, and whole in the end."""

import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.public.server import (
    QUICK,
    Server,
    chunked,
    claims_range,
    crawling,
    cut,
    declares,
    endless,
    other,
    silent,
    stalls_after,
    status,
    whole,
)
from vqa_helpers.data.public import fetch as fetch_module
from vqa_helpers.data.public.fetch import fetch, part_bytes, sha256_of
from vqa_helpers.data.public.sources import File
from vqa_helpers.errors import InputError

CONTENT = random.Random(0).randbytes(200_000)
OTHER = random.Random(1).randbytes(200_000)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "raw" / "a.zip"


def came_well(path, content=CONTENT):
    """Whether the file is there, whole, and alone."""
    return path.read_bytes() == content and [p.name for p in path.parent.iterdir()] == [path.name]


def left(path):
    return sorted(p.name for p in path.parent.iterdir())


# ---------------------------------------------------------------- the way there


def test_a_file_comes_in_one_request(server, path):
    file = server.file("/a.zip", CONTENT)
    assert fetch(file, path, patience=QUICK) == file.sha256 == sha256_of(path)
    assert came_well(path) and server.ranges() == [None]
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


def test_a_download_that_is_cut_goes_on_where_it_was(server, path):
    file = server.file("/a.zip", CONTENT, cut(50_000), cut(70_000))
    fetch(file, path, patience=QUICK)
    assert came_well(path)
    assert server.ranges() == [None, "bytes=50000-", "bytes=120000-"]
    assert server.asked[1][1]["If-Range"].startswith('"')


@pytest.mark.parametrize("count", [0, 1, 199_999])
def test_cut_at_the_ends(server, path, count):
    fetch(server.file("/a.zip", CONTENT, cut(count)), path, patience=QUICK)
    assert came_well(path) and server.ranges()[1] == (f"bytes={count}-" if count else None)


def test_many_cuts_are_borne_while_each_brings_enough(server, path, monkeypatch):
    monkeypatch.setattr(fetch_module, "GAIN_BYTES", 15_000)
    fetch(server.file("/a.zip", CONTENT, *[cut(16_000)] * 12), path, patience=QUICK)
    assert came_well(path) and len(server.asked) == 13


def test_a_trickle_of_cuts_is_not_borne(server, path):
    file = server.file("/a.zip", CONTENT, *[cut(1_000)] * 50)
    with pytest.raises(InputError, match="3 times"):
        fetch(file, path, patience=QUICK)
    assert len(server.asked) == 3 and part_bytes(path) == 3_000  # the next call goes on
    server.scripts.clear()
    fetch(file, path, patience=QUICK)
    assert came_well(path) and server.ranges()[-1] == "bytes=3000-"


def test_a_range_answered_with_everything_starts_anew(server, path):
    fetch(server.file("/a.zip", CONTENT, cut(50_000), whole), path, patience=QUICK)
    assert came_well(path) and server.ranges() == [None, "bytes=50000-"]


def test_a_file_that_changed_meanwhile_starts_anew(server, path):
    server.file("/a.zip", OTHER, cut(50_000))
    file = server.file("/a.zip", CONTENT, cut(0), cut(0), cut(0), told=False)
    server.files["/a.zip"] = OTHER
    server.scripts["/a.zip"] = [cut(50_000)] + [status(503)] * 2
    with pytest.raises(InputError):
        fetch(file, path, patience=QUICK)
    server.files["/a.zip"] = CONTENT
    fetch(file, path, patience=QUICK)
    assert came_well(path) and server.ranges()[-1] == "bytes=50000-"


@pytest.mark.parametrize("told", [True, False])
def test_a_changed_file_whose_server_ignores_if_range(server, path, told):
    def sewn(handler, content):  # 206, although the version is another
        handler.headers.replace_header("If-Range", '"x"') if "If-Range" in handler.headers else 0
        claims_range(f"bytes 50000-{len(content) - 1}/{len(content)}")(handler, content)

    file = server.file("/a.zip", CONTENT, cut(50_000), told=told)
    server.scripts["/a.zip"] = [lambda h, _: cut(50_000)(h, OTHER), sewn]
    fetch(file, path, patience=QUICK)
    assert came_well(path) and server.ranges()[-1] is None


def test_without_a_validator_only_a_known_sum_allows_to_go_on(server, path):
    def bare(handler, content):
        handler.start(200, len(content))
        handler.wfile.write(content[:50_000])
        handler.hang_up()

    fetch(server.file("/a.zip", CONTENT, bare), path, patience=QUICK)
    assert server.ranges() == [None, "bytes=50000-"] and came_well(path)
    server.asked.clear()
    fetch(server.file("/b.zip", CONTENT, bare, told=False), path, patience=QUICK)
    assert server.ranges() == [None, None] and came_well(path)


def test_a_part_that_is_not_of_this_file_costs_one_more_download(server, path):
    path.parent.mkdir()
    path.with_name("a.zip.part").write_bytes(OTHER[:100_000])
    fetch(server.file("/a.zip", CONTENT), path, patience=QUICK)
    assert came_well(path) and server.ranges() == ["bytes=100000-", None]


@pytest.mark.parametrize("size", [200_000, 200_001])
def test_a_part_that_is_as_long_as_the_file(server, path, size):
    path.parent.mkdir()
    path.with_name("a.zip.part").write_bytes((CONTENT + b"x")[:size])
    fetch(server.file("/a.zip", CONTENT), path, patience=QUICK)
    assert came_well(path) and server.ranges() == ([] if size == 200_000 else [None])


def test_a_part_without_a_published_length_that_is_complete(server, path):
    file = server.file("/a.zip", CONTENT, cut(50_000), bytes=None)
    server.scripts["/a.zip"] += [status(503)] * 2
    with pytest.raises(InputError):
        fetch(file, path, patience=QUICK)
    path.with_name("a.zip.part").write_bytes(CONTENT)
    server.asked.clear()
    fetch(file, path, patience=QUICK)
    assert came_well(path) and not server.asked


def test_a_part_beyond_the_remote_end(server, path):
    file = server.file("/a.zip", CONTENT, bytes=None)
    path.parent.mkdir()
    path.with_name("a.zip.part").write_bytes(CONTENT + b"more")
    fetch(file, path, patience=QUICK)
    assert came_well(path) and server.ranges() == ["bytes=200004-", None]


def test_a_damaged_note_is_no_hindrance(server, path):
    path.parent.mkdir()
    path.with_name("a.zip.part").write_bytes(CONTENT[:9])
    path.with_name(".a.zip.part.json").write_text("[1")
    fetch(server.file("/a.zip", CONTENT), path, patience=QUICK)
    assert came_well(path)


# ---------------------------------------------------------------- servers that fail


@pytest.mark.parametrize("code", [500, 502, 503, 429, 504])
def test_a_failing_server_is_asked_again(server, path, code):
    fetch(server.file("/a.zip", CONTENT, status(code), status(code)), path, patience=QUICK)
    assert came_well(path) and len(server.asked) == 3


def test_a_server_that_goes_on_failing_is_left_for_the_mirror(server, path):
    mirror = server.file("/mirror/a.zip", CONTENT)
    file = server.file("/a.zip", CONTENT, *[status(500)] * 9, mirrors=[mirror.url])
    fetch(file, path, patience=QUICK)
    assert came_well(path)
    assert [asked for asked, _ in server.asked] == ["/a.zip"] * 3 + ["/mirror/a.zip"]


@pytest.mark.parametrize("code", [404, 403, 410, 401])
def test_a_refusal_is_taken_at_once(server, path, code):
    mirror = server.file("/mirror/a.zip", CONTENT)
    file = server.file("/a.zip", CONTENT, status(code), mirrors=[mirror.url])
    fetch(file, path, patience=QUICK)
    assert came_well(path)
    assert [asked for asked, _ in server.asked] == ["/a.zip", "/mirror/a.zip"]


def test_a_mirror_goes_on_with_the_part_of_another_address(server, path):
    mirror = server.file("/mirror/a.zip", CONTENT)
    file = server.file("/a.zip", CONTENT, cut(50_000), status(404), mirrors=[mirror.url])
    fetch(file, path, patience=QUICK)
    assert came_well(path) and server.ranges("/mirror/a.zip") == ["bytes=50000-"]


def test_the_users_mirror_comes_first(server, path, monkeypatch):
    file = server.file("/far/a.zip", CONTENT)
    server.file("/near/a.zip", CONTENT)
    fetch(file, path, mirror=f"{server.base}/near/", patience=QUICK)
    monkeypatch.setenv("VQA_MIRROR", f"{server.base}/near")
    fetch(file, path.with_name("b"), patience=QUICK)
    monkeypatch.setenv("VQA_MIRROR", f"{server.base}/empty")
    fetch(file, path.with_name("c"), patience=QUICK)
    asked = [asked for asked, _ in server.asked]
    assert asked == ["/near/a.zip", "/near/a.zip", "/empty/a.zip", "/far/a.zip"]


@pytest.mark.parametrize("mirror", ["file:///etc", "/data", "ftp://host/x", "http://", "http://[x"])
def test_a_mirror_that_is_no_web_address(server, path, mirror):
    with pytest.raises(InputError, match="no http"):
        fetch(server.file("/a.zip", CONTENT), path, mirror=mirror)


def test_pauses_double_and_a_server_may_ask_for_more(server, path):
    pauses = []
    patience = replace(
        QUICK, attempts=6, first_pause_s=1.0, longest_pause_s=5.0, sleep=pauses.append
    )
    replies = [status(503)] * 3 + [status(429, Retry_After="4"), status(503, Retry_After="9999")]
    fetch(server.file("/a.zip", CONTENT, *replies), path, patience=patience)
    first, second, third, asked, longest = pauses
    assert 0.5 <= first <= 1 <= second <= 2 <= third <= 4 and 4 <= asked <= 5 and longest == 5


@pytest.mark.parametrize(
    "text", ["Fri, 01 Jan 1999 00:00:00 GMT", "soon", "-5", "", "Fri, 99 Jan 99999", "٣", "1e9"]
)
def test_odd_retry_after(server, path, text):
    reply = status(503, Retry_After=text.encode().decode("latin-1"))
    fetch(server.file("/a.zip", CONTENT, reply), path, patience=QUICK)
    assert came_well(path)


def test_a_silent_server(server, path):
    patience = replace(QUICK, timeout_s=0.2)
    fetch(server.file("/a.zip", CONTENT, silent(0.5)), path, patience=patience)
    assert came_well(path)
    with pytest.raises(InputError, match="does not answer within 0.2 s, 3 times"):
        fetch(server.file("/a.zip", CONTENT, *[silent(0.5)] * 3), path, patience=patience)


def test_a_server_that_stops_in_the_middle(server, path):
    patience = replace(QUICK, timeout_s=0.2)
    fetch(server.file("/a.zip", CONTENT, stalls_after(50_000, 0.5)), path, patience=patience)
    assert came_well(path) and server.ranges() == [None, "bytes=50000-"]


def test_a_server_that_crawls(server, path):
    patience = replace(QUICK, timeout_s=0.2)
    fetch(server.file("/a.zip", CONTENT, crawling), path, patience=patience)
    assert came_well(path)
    assert 0 < int(server.ranges()[1].removeprefix("bytes=").rstrip("-")) < 100


def test_nobody_listens(path):
    with Server() as server:
        file = server.file("/train2014.zip", CONTENT)
    with pytest.raises(InputError) as caught:
        fetch(file, path, patience=QUICK)
    message = str(caught.value)
    assert "\n" not in message and "cannot be reached" in message and "refused" in message
    assert f"put train2014.zip into {path.parent}/ by hand" in message


def test_a_host_that_does_not_exist(path):
    file = File("http://nowhere.invalid/a.zip", 1, None)
    with pytest.raises(InputError, match="nowhere.invalid/a.zip cannot be reached"):
        fetch(file, path, patience=replace(QUICK, attempts=1))


def test_offline_asks_nobody(server, path):
    with pytest.raises(InputError, match=r"the network is not to be used; put a.zip into .*/raw/"):
        fetch(server.file("/a.zip", CONTENT), path, offline=True)
    assert not server.asked


# ---------------------------------------------------------------- servers that lie


@pytest.mark.parametrize("length", [100, 199_999, 200_001, 10**12])
def test_a_length_that_is_not_the_catalogues(server, path, length):
    fetch(server.file("/a.zip", CONTENT, declares(length)), path, patience=QUICK)
    assert came_well(path) and server.ranges() == [None, None]
    file = server.file("/a.zip", CONTENT, declares(length), declares(length))
    with pytest.raises(InputError, match=f"says {length} bytes where 200000 are expected"):
        fetch(file, path, patience=QUICK)
    assert part_bytes(path) == 0


@pytest.mark.parametrize("length", ["-5", "many", "1, 2", ""])
def test_a_length_that_is_no_number(server, path, length):
    def reply(handler, content):
        handler.start(200, length, Connection="close")
        handler.wfile.write(content)
        handler.hang_up()

    fetch(server.file("/a.zip", CONTENT, reply), path, patience=QUICK)
    assert came_well(path)


def test_a_length_too_large_where_none_is_published(server, path):
    file = server.file("/a.zip", CONTENT, declares(200_500), told=False)
    fetch(file, path, patience=QUICK)
    assert came_well(path) and server.ranges() == [None, "bytes=200000-", None]
    with pytest.raises(InputError):
        file = server.file("/a.zip", CONTENT, *[declares(200_500)] * 9, told=False)
        fetch(file, path.with_name("b"), patience=QUICK)


def test_a_length_too_small_where_only_the_sum_is_published(server, path):
    file = server.file("/a.zip", CONTENT, *[declares(100)] * 2, bytes=None)
    with pytest.raises(InputError, match=f"serves sha256 .* where {file.sha256} is expected"):
        fetch(file, path, patience=QUICK)
    assert left(path) == []


@pytest.mark.parametrize(
    "said",
    [
        "bytes 0-199999/200000", "bytes 50001-199999/200000", "bytes 50000-199999/200001",
        "bytes 50000-199999/*", "bytes */200000", "items 50000-199999/200000", "",
        "bytes 50000-199999/99999999999999999999999",
    ],
)  # fmt: skip
def test_a_range_that_was_not_asked_for(server, path, said):
    file = server.file("/a.zip", CONTENT, cut(50_000), claims_range(said))
    fetch(file, path, patience=QUICK)
    assert came_well(path) and server.ranges() == [None, "bytes=50000-", None]


def test_a_total_that_is_another_than_before(server, path):
    reply = claims_range("bytes 50000-199999/200001")
    fetch(server.file("/a.zip", CONTENT, cut(50_000), reply, told=False), path, patience=QUICK)
    assert came_well(path) and server.ranges() == [None, "bytes=50000-", None]


def test_less_than_all_that_is_left(server, path):
    def short(handler, content):  # as a server may answer
        handler.start(206, 9, Content_Range=f"bytes 50000-50008/{len(content)}")
        handler.wfile.write(content[50_000:50_009])

    fetch(server.file("/a.zip", CONTENT, cut(50_000), short), path, patience=QUICK)
    assert came_well(path) and server.ranges() == [None, "bytes=50000-", "bytes=50009-"]


def test_a_part_that_nobody_asked_for(server, path):
    reply = claims_range("bytes 0-199999/200000")
    with pytest.raises(InputError, match="was asked for"):
        fetch(server.file("/a.zip", CONTENT, reply, reply), path, patience=QUICK)
    assert left(path) == []


def test_a_wrong_sum_is_deleted_and_the_mirror_asked(server, path):
    mirror = server.file("/mirror/a.zip", CONTENT)
    file = server.file("/a.zip", CONTENT, other(OTHER), mirrors=[mirror.url])
    fetch(file, path, patience=QUICK)
    assert came_well(path) and len(server.asked) == 2


def test_wrong_sums_everywhere_are_one_clear_error(server, path):
    mirror = server.file("/mirror/a.zip", CONTENT, other(OTHER))
    file = server.file("/a.zip", CONTENT, other(OTHER), mirrors=[mirror.url])
    with pytest.raises(InputError) as caught:
        fetch(file, path, patience=QUICK)
    message = str(caught.value)
    found = hashlib.sha256(OTHER).hexdigest()
    assert file.sha256 in message and found in message and "\n" not in message
    assert file.url in message and mirror.url in message
    assert left(path) == []


@pytest.mark.parametrize("told", [True, False])
def test_an_endless_body_is_stopped(server, path, told):
    file = server.file("/a.zip", CONTENT, endless, endless, told=told)
    with pytest.raises(InputError, match="sends more than 200000 bytes"):
        fetch(file, path, patience=QUICK, most_bytes=200_000)
    assert left(path) == [] and len(server.asked) == 2


def test_a_length_that_no_file_has(server, path):
    file = server.file("/a.zip", CONTENT, *[declares(10**15)] * 2, told=False)
    with pytest.raises(InputError, match="says 1000000000000000 bytes, more than"):
        fetch(file, path, patience=QUICK)


def test_a_body_without_a_length(server, path):
    fetch(server.file("/a.zip", CONTENT, chunked), path, patience=QUICK)
    assert came_well(path)


def test_an_encoding_on_the_way_is_not_undone(server, path):
    reply = status(200, CONTENT, Content_Encoding="gzip")
    fetch(server.file("/a.zip", CONTENT, reply), path, patience=QUICK)
    assert came_well(path)


def test_no_sum_is_published(server, path, caplog):
    sha256 = fetch(server.file("/a.zip", CONTENT, told=False), path, patience=QUICK)
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert f"{sha256} unverified" in caplog.text


# ---------------------------------------------------------------- redirects and proxies


def test_a_redirect_is_followed(server, path):
    file = server.file("/a.zip", CONTENT)
    for code, place in ((301, "/a.zip"), (302, file.url), (307, "a.zip"), (308, "/x/../a.zip")):
        server.file("/old", b"", status(code, b"moved", Location=place))
        fetch(replace(file, url=f"{server.base}/old"), path, patience=QUICK)
        assert came_well(path)
        path.unlink()


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://127.0.0.1/a.zip", "gopher://x", "data:,x", "http://[x"]
)
def test_a_redirect_to_another_scheme(server, path, place):
    file = server.file("/a.zip", CONTENT, status(302, Location=place))
    with pytest.raises(InputError, match="no http.s. address"):
        fetch(file, path, patience=QUICK)
    assert len(server.asked) == 1 and left(path) == []


def test_a_redirect_in_a_circle(server, path):
    file = server.file("/a.zip", CONTENT, *[status(302, Location="/a.zip")] * 99)
    with pytest.raises(InputError, match="redirects more than 10 times"):
        fetch(file, path, patience=QUICK)


def test_the_body_of_a_redirect_is_not_read(server, path):
    def moved(handler, content):
        handler.start(302, Location="/a.zip", Connection="close")
        while True:
            handler.wfile.write(bytes(1 << 16))

    fetch(server.file("/a.zip", CONTENT, moved), path, patience=QUICK)
    assert came_well(path) and len(server.asked) == 2


def test_the_environments_proxy_is_used(server, path, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, server.base)
    file = server.file("/a.zip", CONTENT)
    server.files["http://files.invalid/a.zip"] = CONTENT
    fetch(replace(file, url="http://files.invalid/a.zip"), path, patience=QUICK)
    assert came_well(path) and server.asked[0][0] == "http://files.invalid/a.zip"


# ---------------------------------------------------------------- this machine


def test_without_requests_one_line_says_so(server, path, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(InputError, match="pip install requests"):
        fetch(server.file("/a.zip", CONTENT), path)


def test_a_disk_without_room(server, path, monkeypatch):
    from vqa_helpers import files

    usage = files.shutil.disk_usage(path.parent.parent)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=150_000))
    with pytest.raises(InputError, match="to download a.zip needs 0.00 GB .* free some space"):
        fetch(server.file("/a.zip", CONTENT), path, patience=QUICK)
    path.parent.mkdir(exist_ok=True)
    path.with_name("a.zip.part").write_bytes(CONTENT[:100_000])  # the rest has room
    fetch(server.file("/a.zip", CONTENT), path, patience=QUICK)
    assert came_well(path)


def test_a_disk_that_runs_full(server, path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(InputError, match="too large.*what came is kept") as caught:
            fetch(server.file("/a.zip", CONTENT), path, patience=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value) and part_bytes(path) == 100_000
    fetch(server.file("/a.zip", CONTENT), path, patience=QUICK)
    assert came_well(path)


PROGRAM = """
import json, sys
from pathlib import Path
from vqa_helpers.data.public.fetch import fetch
from vqa_helpers.data.public.sources import File
url, size, sha256, path = json.loads(sys.argv[1])
print("ready", flush=True)
fetch(File(url, size, sha256), Path(path))
"""


@pytest.mark.parametrize(("end", "count"), [(signal.SIGKILL, 3_000), (signal.SIGINT, 120_000)])
def test_a_killed_process_is_continued(server, path, end, count):
    file = server.file("/a.zip", CONTENT, stalls_after(count))
    said = json.dumps([file.url, file.bytes, file.sha256, str(path)])
    # Started in the background, Python may inherit that Ctrl-C is ignored.
    program = "import signal; signal.signal(2, signal.default_int_handler)\n" + PROGRAM
    process = subprocess.Popen(
        [sys.executable, "-c", program, said], cwd=ROOT, stderr=subprocess.DEVNULL,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    try:
        limit = time.monotonic() + 60
        while part_bytes(path) < count:
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.01)
        process.send_signal(end)
        process.wait(30)
    finally:
        process.kill()
    assert left(path) == [".a.zip.part.json", "a.zip.part"] and part_bytes(path) == count
    assert fetch(file, path, patience=QUICK) == file.sha256
    assert came_well(path) and server.ranges() == [None, f"bytes={count}-"]
