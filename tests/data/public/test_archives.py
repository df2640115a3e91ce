"""Archives: real ones come out whole, hostile ones leave nothing behind."""

import gzip
import io
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from vqa_helpers.data.public import archives
from vqa_helpers.data.public.archives import Limits, Unpacked, unpack
from vqa_helpers.errors import InputError

ROOT = Path(__file__).parents[3]
FILES = {"train2014/a.jpg": b"a" * 100, "train2014/b.jpg": b"b" * 50, "readme.txt": b"r"}


def make_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    """Members are (name or ZipInfo, content)."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, content)
    return path


def make_tar(path, members, mode="w:gz"):
    """Members are (name or TarInfo, content)."""
    with tarfile.open(path, mode) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content) if info.isreg() else info.size
            archive.addfile(info, io.BytesIO(content))
    return path


def name_of(make):
    return "a.zip" if make is make_zip else "a.tgz"


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def place(tmp_path):
    """A folder with a file of another archive in it, in a world that must not change."""
    folder = tmp_path / "world" / "raw"
    folder.mkdir(parents=True)
    (folder / "other.json").write_bytes(b"other")
    return folder


def refused(archive, place, reason, limits=None):
    """Whether an archive is refused for this reason, and the world is as it was."""
    world = place.parent
    before = sorted(world.rglob("*")), tree(world)
    with pytest.raises(InputError, match=reason) as caught:
        unpack(archive, place, limits)
    assert "\n" not in str(caught.value)
    assert str(archive) in str(caught.value)
    assert (sorted(world.rglob("*")), tree(world)) == before
    return True


# ---------------------------------------------------------------- archives as they should be


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tgz", "a.tar"])
def test_everything_comes_out(tmp_path, place, name):
    if name.endswith("zip"):
        archive = make_zip(tmp_path / name, FILES)
    else:
        archive = make_tar(tmp_path / name, FILES, "w" if name == "a.tar" else "w:gz")
    assert unpack(archive, place) == Unpacked(
        files=3, bytes=151, first="train2014/a.jpg", last="readme.txt",
        folders={"train2014": 2, "": 1},
    )  # fmt: skip
    assert tree(place) == {**FILES, "other.json": b"other"}


def test_a_stored_zip(tmp_path, place):
    unpack(make_zip(tmp_path / "a.zip", FILES, zipfile.ZIP_STORED), place)
    assert tree(place) == {**FILES, "other.json": b"other"}


def test_folders_and_dots_in_names(tmp_path, place):
    folder, inner = tarfile.TarInfo("./"), tarfile.TarInfo("./variables")
    folder.type = inner.type = tarfile.DIRTYPE
    members = [(folder, b""), (inner, b""), ("./saved_model.pb", b"g"), ("./variables/v", b"v")]
    assert unpack(make_tar(tmp_path / "a.tgz", members), place).first == "saved_model.pb"
    assert tree(place).keys() == {"saved_model.pb", "variables/v", "other.json"}
    unpack(make_zip(tmp_path / "b.zip", [("x/", b""), ("x/y", b"y"), ("x/z", b"")]), place)
    assert (place / "x" / "y").read_bytes() == b"y" and (place / "x" / "z").exists()


def test_what_a_mac_adds_is_left_out(tmp_path, place):
    clutter = {"__MACOSX/._a.json": b"1", "._b": b"2", "c/.DS_Store": b"3", ".DS_Store": b"4"}
    unpacked = unpack(make_zip(tmp_path / "a.zip", {**clutter, "a.json": b"a"}), place)
    assert unpacked.files == 1
    assert tree(place).keys() == {"a.json", "other.json"}


def test_archives_share_a_folder(tmp_path, place):
    unpack(make_zip(tmp_path / "a.zip", {"coco/a.jpg": b"a", "coco/in/x": b"x"}), place)
    unpack(make_zip(tmp_path / "b.zip", {"coco/b.jpg": b"b", "coco/in/y": b"y"}), place)
    assert tree(place / "coco") == {"a.jpg": b"a", "b.jpg": b"b", "in/x": b"x", "in/y": b"y"}


def test_the_same_archive_again_changes_nothing(tmp_path, place):
    archive = make_zip(tmp_path / "a.zip", FILES)
    unpack(archive, place)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    unpack(archive, place)
    assert before == {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("there", [b"Other", b"other and more", b""])
def test_nothing_is_overwritten(tmp_path, place, there):
    archive = make_zip(tmp_path / "a.zip", {"a.json": b"a", "other.json": there})
    with pytest.raises(InputError, match="other.json: differs from the archive's file"):
        unpack(archive, place)
    assert tree(place) == {"other.json": b"other"}


@pytest.mark.parametrize("name", ["other.json/x", "folder"])
def test_a_file_where_a_folder_should_be_and_the_reverse(tmp_path, place, name):
    (place / "folder").mkdir()
    with pytest.raises(InputError, match="remove it"):
        unpack(make_zip(tmp_path / "a.zip", {"a": b"a", name: b"x"}), place)
    assert tree(place) == {"other.json": b"other"}


def test_a_folder_that_is_a_link_elsewhere_is_the_users_choice(tmp_path, place):
    (tmp_path / "disk").mkdir()
    (place / "train2014").symlink_to(tmp_path / "disk")
    unpack(make_zip(tmp_path / "a.zip", FILES), place)
    assert sorted(os.listdir(tmp_path / "disk")) == ["a.jpg", "b.jpg"]


def test_permissions_of_the_archive_are_not_taken(tmp_path, place):
    info = tarfile.TarInfo("a")
    info.mode = 0o6777
    unpack(make_tar(tmp_path / "a.tgz", [(info, b"a")]), place)
    assert stat.S_IMODE((place / "a").stat().st_mode) & 0o7111 == 0


# ---------------------------------------------------------------- hostile names

NAMES = {
    "../escaped": "leads out",
    "a/../../escaped": "leads out",
    "a/..": "leads out",
    "/tmp/escaped": "leads out",
    "//tmp/escaped": "leads out",
    "..\\escaped": "another system",
    "C:\\escaped": "another system",
    "C:escaped": "another system",
    "C:/escaped": "another system",
    "\\\\host\\share": "another system",
    "a\nb": "no text",
    "a\x1b[2Jb": "no text",
    "x" * 256: "too long",
    "/".join(["abcdefgh"] * 200): "too long",
    "/".join("x" * 40): "too deeply",
    ".a.zip.json": "hidden",
    ".git/hooks/pre-commit": "hidden",
    "./.bashrc": "hidden",
}


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:24]))
@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("order", [1, -1])
def test_names_that_lead_elsewhere(tmp_path, place, name, make, order):
    members = [("good.json", b"good"), (name, b"evil")][::order]
    assert refused(make(tmp_path / name_of(make), members), place, NAMES[name])


def test_a_name_with_a_zero_byte(tmp_path, place):
    archive = make_zip(tmp_path / "a.zip", {"good.jsonXexe": b""})
    archive.write_bytes(archive.read_bytes().replace(b"jsonX", b"json\0"))
    assert refused(archive, place, "no text")


def test_a_name_that_is_no_utf8(tmp_path, place):
    assert refused(make_tar(tmp_path / "a.tgz", {"a\udcff": b""}), place, "no text")


@pytest.mark.parametrize(
    ("first", "second"),
    [("a", "a"), ("a", "./a"), ("a/b", "a//b"), ("a", "A"), ("é", "e\u0301"), ("a/x", "A/X")],
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path, place, first, second, make):
    assert refused(
        make(tmp_path / name_of(make), [(first, b"1"), (second, b"2")]), place, "two members"
    )


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_that_is_a_folder_too(tmp_path, place, order):
    members = [("a", b"1"), ("a/b", b"2")][::order]
    assert refused(make_zip(tmp_path / "a.zip", members), place, "both as a file")


# ---------------------------------------------------------------- hostile kinds


def odd_tar(kind, **fields):
    info = tarfile.TarInfo("odd")
    info.type = kind
    for name, value in fields.items():
        setattr(info, name, value)
    return info


KINDS = {
    "symlink": odd_tar(tarfile.SYMTYPE, linkname="/etc"),
    "symlink inside": odd_tar(tarfile.SYMTYPE, linkname="good.json"),
    "hard link": odd_tar(tarfile.LNKTYPE, linkname="../../secret"),
    "hard link inside": odd_tar(tarfile.LNKTYPE, linkname="good.json"),
    "fifo": odd_tar(tarfile.FIFOTYPE),
    "character device": odd_tar(tarfile.CHRTYPE, devmajor=1, devminor=5),
    "block device": odd_tar(tarfile.BLKTYPE, devmajor=8, devminor=0),
    "sparse": odd_tar(tarfile.GNUTYPE_SPARSE),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tar_members_that_are_no_files(tmp_path, place, kind):
    members = [("good.json", b"good"), (KINDS[kind], b""), ("odd/x", b"x")]
    assert refused(make_tar(tmp_path / "a.tgz", members), place, "link, a device|damaged")


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR]
)
def test_zip_members_that_are_no_files(tmp_path, place, kind):
    info = zipfile.ZipInfo("odd")
    info.external_attr = (kind | 0o777) << 16
    archive = make_zip(tmp_path / "a.zip", [("good.json", b"good"), (info, b"/etc/passwd")])
    assert refused(archive, place, "link or a device")


@pytest.mark.parametrize("bit", [0x1, 0x40, 0x2000])
def test_an_encrypted_zip(tmp_path, place, bit):
    archive = make_zip(tmp_path / "a.zip", {"a": b"a"})
    content = bytearray(archive.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 8 : central + 10] = bit.to_bytes(2, "little")
    archive.write_bytes(content)
    assert refused(archive, place, "encrypted")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression(tmp_path, place, compression):
    archive = make_zip(tmp_path / "a.zip", {"a": b"a" * 100}, compression)
    assert refused(archive, place, "unusual way")


# ---------------------------------------------------------------- bombs


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_too_many_bytes_or_members(tmp_path, place, make):
    archive = make(tmp_path / name_of(make), FILES)
    assert refused(archive, place, "more than 150 bytes", Limits(bytes=150))
    assert refused(archive, place, "more than 2 members", Limits(members=2))
    unpack(archive, place, Limits(bytes=151, members=3))


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_ratio_that_no_text_reaches(tmp_path, place, make):
    assert refused(make(tmp_path / name_of(make), {"zeros": bytes(20_000_000)}), place, "bomb")


def test_members_that_share_their_bytes(tmp_path, place):
    """The directory of a zip lists the same compressed bytes a thousand times."""
    archive = make_zip(tmp_path / "a.zip", {"zeros000": bytes(1_000_000)})
    content = archive.read_bytes()
    central = content.index(b"PK\x01\x02")
    entry = content[central : content.index(b"PK\x05\x06")]
    entries = b"".join(entry.replace(b"zeros000", b"zeros%03d" % i) for i in range(1000))
    end = bytearray(content[content.index(b"PK\x05\x06") :])
    end[8:12] = (1000).to_bytes(2, "little") * 2
    end[12:16] = len(entries).to_bytes(4, "little")
    archive.write_bytes(content[:central] + entries + end)
    assert refused(archive, place, "bomb")


@pytest.mark.parametrize("declared", [10, 999])
def test_a_zip_member_larger_than_it_declares(tmp_path, place, declared):
    archive = make_zip(tmp_path / "a.zip", {"good": b"good", "liar": b"x" * 1000})
    content = bytearray(archive.read_bytes())
    prefix, real = zlib.crc32(b"x" * declared), zlib.crc32(b"x" * 1000)
    # Both the length and the checksum are those of a shorter text.
    changed = bytes(content).replace(real.to_bytes(4, "little"), prefix.to_bytes(4, "little"))
    changed = changed.replace((1000).to_bytes(4, "little"), declared.to_bytes(4, "little"))
    archive.write_bytes(changed)
    assert refused(archive, place, "more bytes than it declares|damaged")


def test_a_zip_member_smaller_than_it_declares(tmp_path, place):
    archive = make_zip(tmp_path / "a.zip", {"liar": b"x" * 1000})
    content = archive.read_bytes()
    size = (1000).to_bytes(4, "little")
    archive.write_bytes(content.replace(size, (1001).to_bytes(4, "little")))
    assert refused(archive, place, "fewer bytes than it declares")


def test_a_stored_zip_member_with_two_sizes(tmp_path, place):
    archive = make_zip(tmp_path / "a.zip", {"liar": b"x" * 1000}, zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = (10).to_bytes(4, "little")
    archive.write_bytes(content)
    assert refused(archive, place, "two sizes")


def test_a_tar_header_that_would_fill_the_memory(tmp_path, place):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        info = tarfile.TarInfo("pax")
        info.type, info.size = tarfile.XHDTYPE, 50_000_000
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    assert refused(tmp_path / "a.tgz", place, "has a header of 50000384 bytes")


def test_a_tar_that_declares_more_than_there_is(tmp_path, place):
    info = tarfile.TarInfo("big")
    info.size = 5_000
    with gzip.open(tmp_path / "a.tgz", "wb") as out:
        out.write(info.tobuf() + b"x" * 1000)
    assert refused(tmp_path / "a.tgz", place, "damaged|fewer")
    info.size = 10**13
    with gzip.open(tmp_path / "a.tgz", "wb") as out:
        out.write(info.tobuf())
    assert refused(tmp_path / "a.tgz", place, "bomb")


def test_a_tar_that_never_ends(tmp_path, place):
    make_tar(tmp_path / "a.tar", FILES, "w")
    with gzip.open(tmp_path / "a.tgz", "wb", compresslevel=1) as out:
        out.write((tmp_path / "a.tar").read_bytes())
        for _ in range(70):
            out.write(bytes(1 << 20))
    assert refused(tmp_path / "a.tgz", place, "after its last member")


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>not found</html>", bytes(10_000)])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_no_archive_at_all(tmp_path, place, content, name):
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name, place, "damaged|holds no file|link, a device")


def test_an_archive_without_a_file(tmp_path, place):
    assert refused(make_zip(tmp_path / "a.zip", {}), place, "holds no file")
    assert refused(make_zip(tmp_path / "b.zip", {"x/": b""}), place, "holds no file")


def test_an_archive_that_is_not_there(tmp_path, place):
    assert refused(tmp_path / "a.zip", place, "cannot be unpacked into .*No such file")


@pytest.mark.parametrize("name", ["a.zip", "a.tgz"])
def test_random_damage_is_one_line_or_no_harm(tmp_path, place, name):
    rng = random.Random(0)
    files = {f"d/{i}.json": rng.randbytes(300) for i in range(5)}
    whole = (make_zip if name == "a.zip" else make_tar)(tmp_path / name, files).read_bytes()
    before = tree(place)
    refusals = 0
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / name).write_bytes(content[: rng.choice([len(content), rng.randrange(2000)])])
        try:
            unpack(tmp_path / name, place)
        except InputError as error:
            refusals += 1
            assert "\n" not in str(error)
            assert tree(place) == before
        else:
            for path in [p for p in place.iterdir() if p.name != "other.json"]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert refusals > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "world"])


# ---------------------------------------------------------------- interruptions


def test_a_disk_without_room(tmp_path, place, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", FILES)
    usage = archives.shutil.disk_usage(place)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage._replace(free=150))
    with pytest.raises(InputError, match="to unpack a.zip needs"):
        unpack(archive, place)
    assert os.listdir(place) == ["other.json"]


def test_ctrl_c_leaves_nothing(tmp_path, place, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "_move", interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(make_zip(tmp_path / "a.zip", FILES), place)
    assert os.listdir(place) == ["other.json"]


def test_a_kill_leaves_a_hidden_folder_which_the_next_call_removes(tmp_path, place):
    archive = make_zip(tmp_path / "a.zip", {"in/a": bytes(10), "in/b": bytes(10)})
    program = f"""
import time
from pathlib import Path
from vqa_helpers.data.public import archives
archives._move = lambda *_: time.sleep(60)
archives.unpack(Path({str(archive)!r}), Path({str(place)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    staged = place / ".a.zip.unpacking"
    try:
        limit = time.monotonic() + 60
        while not (staged / "in" / "b").exists():
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    finally:
        process.kill()
    assert sorted(os.listdir(place)) == [".a.zip.unpacking", "other.json"]
    (staged / "in" / "stale").write_bytes(b"of a former version")
    unpack(archive, place)
    assert sorted(os.listdir(place)) == ["in", "other.json"]
    assert sorted(os.listdir(place / "in")) == ["a", "b"]


def test_a_kill_between_two_moves_is_mended(tmp_path, place, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", FILES)
    rename, moved = os.rename, []

    def rename_once(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        rename(source, target)

    monkeypatch.setattr(archives.os, "rename", rename_once)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, place)
    monkeypatch.undo()
    assert len(moved) == 1
    unpack(archive, place)
    assert tree(place) == {**FILES, "other.json": b"other"}
