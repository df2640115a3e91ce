"""Archives: real ones come out whole, hostile ones leave nothing behind."""

import gzip
import io
import os
import random
import shutil
import stat
import tarfile
import zipfile

import pytest

from tests.data.making import refusal
from vqa_helpers.data.public import archives
from vqa_helpers.data.public.archives import BadArchive, unpack
from vqa_helpers.errors import InputError

FILES = {"train2014/a.jpg": b"a" * 100, "train2014/b.jpg": b"b" * 50, "readme.txt": b"r"}
OTHER = {"other.json": b"other"}


def make_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    """Members are (name or ZipInfo, content), or a dict of them."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, content)
    return path


def make_tar(path, members):
    """Members are (name or TarInfo, content), or a dict of them."""
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content) if info.isreg() else info.size
            archive.addfile(info, io.BytesIO(content))
    return path


def odd_tar(kind, **fields):
    info = tarfile.TarInfo("odd")
    for name, value in {"type": kind, **fields}.items():
        setattr(info, name, value)
    return info


def odd_zip(kind):
    info = zipfile.ZipInfo("odd")
    info.external_attr = (kind | 0o777) << 16
    return info


both = pytest.mark.parametrize(("make", "name"), [(make_zip, "a.zip"), (make_tar, "a.tgz")])


def tree(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def place(tmp_path):
    """A folder with a file of another archive in it, in a world that must not change."""
    folder = tmp_path / "world" / "raw"
    folder.mkdir(parents=True)
    (folder / "other.json").write_bytes(b"other")
    return folder


def refused(archive, place, reason="damaged or not safe"):
    """Whether an archive is refused for this reason, and the world is as it was."""
    world = place.parent
    before = sorted(world.rglob("*")), tree(world)
    with pytest.raises(BadArchive, match=f"{archive}: .*{reason}") as caught:
        unpack(archive, place)
    assert "\n" not in str(caught.value)
    return (sorted(world.rglob("*")), tree(world)) == before


# ---------------------------------------------------------------- archives as they should be


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tgz", "a.tar"])
def test_everything_comes_out(tmp_path, place, name):
    made = (make_zip if "zip" in name else make_tar)(tmp_path / name, FILES)
    for gone in ("readme.txt", "train2014/a.jpg"):
        assert unpack(made, place) == list(FILES)
        assert tree(place) == FILES | OTHER
        (place / gone).unlink()  # as a kill between two moves leaves it


def test_folders_and_dots_in_names(tmp_path, place):
    folder, inner = tarfile.TarInfo("./"), tarfile.TarInfo("./variables")
    folder.type = inner.type = tarfile.DIRTYPE
    members = [(folder, b""), (inner, b""), ("./saved_model.pb", b"g"), ("./variables/v", b"v")]
    made = make_tar(tmp_path / "a.tgz", members)
    assert unpack(made, place) == ["saved_model.pb", "variables/v"]
    unpack(make_zip(tmp_path / "b.zip", [("x/", b""), ("x/y", b"y"), ("x/z", b"")]), place)
    expected = {"saved_model.pb": b"g", "variables/v": b"v", "x/y": b"y", "x/z": b""}
    assert tree(place) == expected | OTHER


def test_what_a_mac_adds_is_left_out(tmp_path, place):
    clutter = {"__MACOSX/._a.json": b"1", "._b": b"2", "c/.DS_Store": b"3", ".DS_Store": b"4"}
    assert unpack(make_zip(tmp_path / "a.zip", {**clutter, "a.json": b"a"}), place) == ["a.json"]
    assert refused(make_zip(tmp_path / "b.zip", {"x/": b""}), place, "holds no file")


def test_archives_share_a_folder_even_one_that_lies_elsewhere(tmp_path, place):
    (tmp_path / "disk").mkdir()
    (place / "coco").symlink_to(tmp_path / "disk")
    unpack(make_zip(tmp_path / "a.zip", {"coco/a.jpg": b"a", "coco/in/x": b"x"}), place)
    unpack(make_zip(tmp_path / "b.zip", {"coco/b.jpg": b"b", "coco/in/y": b"y"}), place)
    assert tree(place / "coco") == {"a.jpg": b"a", "b.jpg": b"b", "in/x": b"x", "in/y": b"y"}


@pytest.mark.parametrize(
    ("name", "content"),
    [("other.json", b"Other"), ("other.json", b""), ("other.json/x", b""), ("folder", b"")],
)
def test_nothing_is_overwritten(tmp_path, place, name, content):
    (place / "folder").mkdir()
    archive = make_zip(tmp_path / "a.zip", {"a.json": b"a", name: content})
    with pytest.raises((InputError, OSError), match="other.json|folder") as caught:
        unpack(archive, place)
    assert not isinstance(caught.value, BadArchive) and tree(place) == OTHER


def test_set_uid_bits_are_not_taken(tmp_path, place):
    info = tarfile.TarInfo("a")
    info.mode = 0o6777
    unpack(make_tar(tmp_path / "a.tgz", [(info, b"a")]), place)
    assert stat.S_IMODE((place / "a").stat().st_mode) & 0o7022 == 0


# ---------------------------------------------------------------- hostile names and kinds


ELSEWHERE = (
    "../escaped", "a/../../escaped", "a/..", "/tmp/escaped", "//tmp/escaped", "..\\escaped",
    "C:\\escaped", "C:escaped", "\\\\host\\share", "a\nb", "a\x1b[2Jb", "x" * 256,
    "/".join(["abcdefgh"] * 600), ".a.zip.json", ".git/hooks/pre-commit", "./.bashrc",
)  # fmt: skip
TWICE = [("a", "a"), ("a", "./a"), ("a/b", "a//b"), ("a", "a/b"), ("a/b", "a")]


@pytest.mark.parametrize(
    "names",
    [
        *[("good.json", name) for name in ELSEWHERE],
        *[(name, "good.json") for name in ELSEWHERE],
        *TWICE,
    ],
    ids=lambda names: repr([name[:24] for name in names]),
)
@both
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_lead_elsewhere_or_are_there_twice(tmp_path, place, names, make, name):
    assert refused(make(tmp_path / name, [(one, b"evil") for one in names]), place)


def test_names_that_are_no_text(tmp_path, place):
    assert refused(make_tar(tmp_path / "a.tgz", {"a\udcff": b""}), place)
    archive = make_zip(tmp_path / "a.zip", {"good.jsonXexe": b""})
    archive.write_bytes(archive.read_bytes().replace(b"jsonX", b"json\0"))
    assert refused(archive, place)


ODD = [
    *[odd_tar(tarfile.SYMTYPE, linkname=link) for link in ("/etc", "good.json")],
    *[odd_tar(tarfile.LNKTYPE, linkname=link) for link in ("../../secret", "good.json")],
    *[odd_tar(kind) for kind in (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE)],
    *[odd_zip(kind) for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR)],
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_members_that_are_no_files(tmp_path, place, odd):
    make, name = (make_tar, "a.tgz") if isinstance(odd, tarfile.TarInfo) else (make_zip, "a.zip")
    members = [("good.json", b"good"), (odd, b"" if make is make_tar else b"/etc/passwd")]
    assert refused(make(tmp_path / name, members), place)


def test_an_encrypted_or_oddly_compressed_zip(tmp_path, place):
    archive = make_zip(tmp_path / "a.zip", {"a": b"a"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert refused(archive, place, "encrypted")
    archive = make_zip(tmp_path / "b.zip", {"a": b"a" * 100}, zipfile.ZIP_LZMA)
    assert refused(archive, place, "oddly compressed")


# ---------------------------------------------------------------- bombs


@both
@pytest.mark.parametrize(("limit", "most"), [("MOST_BYTES", 151), ("MOST_MEMBERS", 3)])
def test_too_many_bytes_or_members(tmp_path, place, monkeypatch, make, name, limit, most):
    monkeypatch.setattr(archives, limit, most - 1)
    assert refused(make(tmp_path / name, FILES), place, "bomb")
    monkeypatch.setattr(archives, limit, most)
    unpack(tmp_path / name, place)


@both
def test_a_ratio_that_no_text_reaches(tmp_path, place, make, name):
    assert refused(make(tmp_path / name, {"zeros": bytes(20_000_000)}), place, "bomb")


@pytest.mark.parametrize("declared", [10, 999, 1001])
def test_a_zip_member_of_another_size_than_it_declares(tmp_path, place, declared):
    archive = make_zip(tmp_path / "a.zip", {"good": b"good", "liar": b"x" * 1000})
    size = (1000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, declared.to_bytes(4, "little")))
    assert refused(archive, place, "CRC|fewer bytes than it declares")


@pytest.mark.parametrize(
    ("info", "following", "reason"),
    [
        (odd_tar(tarfile.XHDTYPE, size=50_000_000), 50_000_000, "has a header of 50000384 bytes"),
        (odd_tar(tarfile.REGTYPE, size=5_000), 1000, "damaged"),  # declares more than there is
        (odd_tar(tarfile.REGTYPE, size=10**13), 1000, "bomb|damaged"),
        (odd_tar(tarfile.REGTYPE), 70 << 20, "after its last member"),  # never ends
    ],
)
def test_a_tar_that_would_fill_the_memory_or_lies(tmp_path, place, info, following, reason):
    with gzip.open(tmp_path / "a.tgz", "wb", compresslevel=1) as out:
        out.write(info.tobuf() + bytes(following))
    assert refused(tmp_path / "a.tgz", place, reason)


# ---------------------------------------------------------------- damage and interruptions


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>not found</html>", bytes(10_000)])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_no_archive_at_all_or_none_with_files(tmp_path, place, content, name):
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name, place)


@both
def test_random_damage_is_one_line_or_no_harm(tmp_path, place, make, name):
    rng = random.Random(0)
    whole = make(tmp_path / name, {f"d/{i}.json": rng.randbytes(300) for i in range(5)})
    whole = whole.read_bytes()
    refusals = 0
    for number in range(150):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / name).write_bytes(content[: rng.choice([len(content), rng.randrange(2000)])])
        try:
            unpack(tmp_path / name, place / str(number))
        except BadArchive as error:
            refusals += 1
            assert "\n" not in str(error) and not tree(place / str(number))
    assert refusals > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "world"])


def test_a_disk_without_room(tmp_path, place, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", FILES)
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=150))
    assert "to unpack a.zip needs" in refusal(unpack, archive, place)
    assert os.listdir(place) == ["other.json"]


def test_what_a_kill_has_left_is_removed(tmp_path, place):
    stale = place / ".a.zip.unpacking" / "in" / "stale"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of a former version")
    unpack(make_zip(tmp_path / "a.zip", FILES), place)
    assert tree(place) == FILES | OTHER
