"""One file over a real connection: cut, refused, lied about, resumed, and whole in the end."""

import hashlib
import random
import resource
from dataclasses import replace

import pytest

from tests.data.public import server as reply
from vqa_helpers.data.public import web
from vqa_helpers.data.public.sources import File
from vqa_helpers.data.public.web import NoAnswer, Part, Refused, Web, addresses
from vqa_helpers.errors import InputError

CONTENT = random.Random(0).randbytes(200_000)
OTHER = random.Random(1).randbytes(200_000)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw" / "a.zip"


def fetch(file, path, **options):
    with Web() as open_web:
        return open_web.fetch([file.url, *file.mirrors], Part(file, path, **options))


def part_of(path):
    return path.with_name(f"{path.name}.part")


def came_well(path):
    """Whether the file is there, whole, and alone."""
    return path.read_bytes() == CONTENT and left(path) == [path.name]


def left(path):
    return sorted(p.name for p in path.parent.iterdir())


# ---------------------------------------------------------------- the way there


@pytest.mark.parametrize("again", [reply.cut(1_000), reply.cut(1_000, ranged=False)])
def test_a_trickle_of_cuts_is_not_borne(server, path, monkeypatch, again):
    monkeypatch.setattr(web, "GAIN_BYTES", 2_000)
    file = server.file("/a.zip", CONTENT, *[again] * 50)
    with pytest.raises(NoAnswer, match="fails 3 times"):
        fetch(file, path)
    assert len(server.asked) == 3
    server.scripts["/a.zip"] = [reply.cut(16_000)] * 5  # cuts are borne while each brings enough
    fetch(file, path)  # the next call goes on
    assert came_well(path) and server.ranges()[3] in ("bytes=3000-", "bytes=1000-")


REST = "bytes=50000-"
CHANGED = lambda h, _: reply.cut(50_000)(h, OTHER)  # noqa: E731 - the beginning of another version
SEWN = reply.claims_range("bytes 50000-199999/200000", ETag='"x"')  # If-Range is ignored


@pytest.mark.parametrize(
    ("told", "replies", "ranges"),
    [
        # It goes on where it was.
        (True, [reply.cut(0), reply.cut(50_000)], [None, None, REST]),
        (False, [reply.cut(0), reply.cut(50_000)], [None, None, REST]),
        # Everything instead of the rest.
        (True, [reply.cut(50_000), lambda h, c: reply.well(h, c, ranged=False)], [None, REST]),
        (True, [reply.cut(50_000), reply.chunked], [None, REST]),
        (True, [reply.cut(50_000), reply.status(200, CONTENT, Content_Encoding="gzip")], [None, REST]),
        # The file changed meanwhile.
        (False, [CHANGED], [None, REST]),
        (False, [CHANGED, SEWN], [None, REST, None]), (True, [CHANGED, SEWN], [None, REST, None]),
        # Without a version only a known sum allows to go on.
        (True, [reply.cut(50_000, named=False)], [None, REST]),
        (False, [reply.cut(50_000, named=False)], [None, None]),
        # A range that was not asked for.
        *[(True, [reply.cut(50_000), reply.claims_range(said)], [None, REST, None]) for said in (
            "bytes 0-199999/200000", "bytes 50000-199999/200001", "bytes 50000-199999/*",
            "items 50000-199999/200000", "", "bytes 50000-199999/99999999999999999999999",
        )],
    ],
)  # fmt: skip
def test_what_is_asked_for_after_a_cut(server, path, told, replies, ranges):
    file = server.file("/a.zip", CONTENT, *replies, told=told)
    assert fetch(file, path) == hashlib.sha256(CONTENT).hexdigest()
    assert came_well(path) and server.ranges() == ranges
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("part", "ranges"),
    [
        (OTHER[:100_000], ["bytes=100000-", None]), (CONTENT, ["bytes=200000-"]),
        (OTHER, ["bytes=200000-", None]), (CONTENT + b"more", [None]),
    ],
)  # fmt: skip
def test_parts_that_lie_there(server, path, part, ranges):
    part_of(path).write_bytes(part)
    fetch(server.file("/a.zip", CONTENT), path)
    assert came_well(path) and server.ranges() == ranges


# ---------------------------------------------------------------- servers that fail


@pytest.mark.parametrize(
    ("code", "asked"), [(500, 3), (503, 3), (429, 3), (404, 2), (403, 2), (304, 2)]
)
def test_a_failing_server_is_asked_again_a_refusal_taken_and_the_mirror_goes_on(
    server, path, code, asked
):
    mirror = server.file("/mirror/a.zip", CONTENT)
    replies = [reply.cut(50_000), *[reply.status(code)] * 9]
    file = server.file("/a.zip", CONTENT, *replies, mirrors=[mirror.url])
    fetch(file, path)
    assert came_well(path) and server.paths() == ["/a.zip"] * asked + ["/mirror/a.zip"]
    assert server.ranges()[-1] == "bytes=50000-"


def test_the_users_mirror_comes_first(monkeypatch):
    assert addresses(None, "a.zip", "http://far/x") == ["http://far/x"]
    near = ["http://near/a%20b.zip", "http://far/x"]
    assert addresses("http://near/", "a b.zip", "http://far/x") == near
    monkeypatch.setenv("VQA_MIRROR", "http://near")
    assert addresses(None, "a b.zip", "http://far/x") == near
    for mirror in ("file:///etc", "/data", "ftp://host/x", "http://", "http://[x"):
        with pytest.raises(InputError, match="no http"):
            addresses(mirror, "a.zip", "http://far/x")


def test_pauses_double_and_a_server_may_ask_for_more(server, path, monkeypatch):
    pauses = []
    monkeypatch.setattr(web, "ATTEMPTS", 9)
    monkeypatch.setattr(web, "PAUSE_S", 1.0)
    monkeypatch.setattr("threading.Event.wait", lambda _, pause=None: pauses.append(pause))
    odd = [reply.status(503, Retry_After=text) for text in ("soon", "-5", "Fri, 99 Jan 99999")]
    replies = [reply.status(429, Retry_After="30"), *odd, reply.status(503, Retry_After="9999")]
    fetch(server.file("/a.zip", CONTENT, *replies), path)
    assert [pause for pause in pauses if pause] == [30, 4, 8, 16, 60]


@pytest.mark.parametrize("sent", [0, 50_000])
def test_a_silent_server_is_asked_again(server, path, monkeypatch, sent):
    monkeypatch.setattr(web, "TIMEOUT_S", 0.3)
    fetch(server.file("/a.zip", CONTENT, reply.cut(sent, 1.0)), path)
    assert came_well(path) and len(server.asked) >= 2


def test_nobody_listens(path):
    with reply.Server() as server:
        closed = server.file("/a.zip", CONTENT)
    for file in (closed, File("http://nowhere.invalid/a.zip", 1, None)):
        with pytest.raises(NoAnswer, match=f"{file.url} fails 3 times") as caught:
            fetch(file, path)
        assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- servers that lie


@pytest.mark.parametrize("length", [100, 200_001, 10**12, "-5", "many", ""])
@pytest.mark.parametrize("bytes", [200_000, None])
def test_a_length_that_is_not_that_of_the_file(server, path, length, bytes):
    fetch(server.file("/a.zip", CONTENT, reply.declares(length)), path)
    assert came_well(path)
    if isinstance(length, int):
        with pytest.raises(Refused):
            again = server.file("/a.zip", CONTENT, *[reply.declares(length)] * 9, bytes=bytes)
            fetch(again, path.with_name("b.zip"))
        assert not path.with_name("b.zip").exists()


def test_a_wrong_sum_is_deleted_and_the_mirror_asked(server, path):
    mirror = server.file("/mirror/a.zip", CONTENT, reply.other(OTHER))
    file = server.file("/a.zip", CONTENT, reply.other(OTHER), mirrors=[mirror.url])
    with pytest.raises(Refused) as caught:
        fetch(file, path)
    for said in (file.sha256, hashlib.sha256(OTHER).hexdigest(), file.url, mirror.url):
        assert said in str(caught.value)
    assert left(path) == []
    fetch(file, path)
    assert came_well(path) and len(server.asked) == 3


@pytest.mark.parametrize("told", [True, False])
def test_an_endless_body_is_stopped(server, path, told):
    file = server.file("/a.zip", CONTENT, *[reply.endless(200)] * 9, told=told)
    with pytest.raises(Refused, match="sends more than 200000 bytes"):
        fetch(file, path, most=200_000)
    assert left(path) == []
    with pytest.raises(Refused):  # an error's is not read
        fetch(server.file("/b.zip", CONTENT, *[reply.endless(404)] * 9), path)


# ---------------------------------------------------------------- redirects, proxies, the disk


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize("place", ["/a.zip", "a.zip", "/x/../a.zip"])
def test_a_redirect_is_followed_and_its_body_not_read(server, path, code, place):
    file = server.file("/a.zip", CONTENT)
    server.file("/old", b"", reply.endless(code, Location=place))
    fetch(replace(file, url=f"{server.base}/old", saved_as="a.zip"), path)
    assert came_well(path) and server.paths() == ["/old", "/a.zip"]


@pytest.mark.parametrize(
    ("place", "asked"),
    [("file:///etc/passwd", 1), ("ftp://h/a.zip", 1), ("data:,x", 1), ("http://[x", 1), ("/a", 11)],
)
def test_a_redirect_elsewhere_or_in_a_circle(server, path, place, asked):
    file = server.file("/a", CONTENT, *[reply.status(302, Location=place)] * 99)
    with pytest.raises(Refused, match="no usable http"):
        fetch(file, path)
    assert len(server.asked) == asked and left(path) == []


def test_the_environments_proxy_is_used(server, path, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, server.base)
    file = server.file("/a.zip", CONTENT)
    server.files["http://files.invalid/a.zip"] = CONTENT
    fetch(replace(file, url="http://files.invalid/a.zip"), path)
    assert came_well(path) and server.paths() == ["http://files.invalid/a.zip"]


def test_a_disk_that_runs_full(server, path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            fetch(server.file("/a.zip", CONTENT), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert part_of(path).stat().st_size == 100_000
    fetch(server.file("/a.zip", CONTENT), path)
    assert came_well(path) and server.ranges() == [None, "bytes=100000-"]
