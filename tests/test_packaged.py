"""Parts that packages carry: found, and refused where they are missing, damaged or of another version."""

import re
import sys

import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.packaged import Packaged

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # sha256 of "abc"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes a package a-model 2.0 with one file of that content, in a module of that name."""
    monkeypatch.syspath_prepend(tmp_path)
    info = tmp_path / "a_model-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-model\nVersion: 2.0\n")

    def install(module: str, content: bytes):
        (tmp_path / module / "models").mkdir(parents=True)
        (tmp_path / module / "__init__.py").write_text("raise SystemExit\n")
        (tmp_path / module / "models" / "net.pth").write_bytes(content)
        return tmp_path / module

    return install


def test_files_are_found_without_running_the_package(installed):
    folder = installed("sound", b"abc")
    assert Packaged("a-model", "2.0", "sound", (("models/net.pth", ABC),)).folder() == folder
    assert "sound" not in sys.modules


@pytest.mark.parametrize(
    ("wanted", "name", "what"),
    [
        ("2.0", "net.pth", "net.pth: is not the file of a-model 2.0, the package is damaged"),
        ("3.0", "net.pth", "the package is 2.0, not 3.0; `pip install --force-reinstall"),
        ("2.0", "gone.pth", "gone.pth: is not the file of a-model 2.0, the package is damaged"),
    ],
)
def test_a_package_that_is_damaged_or_of_another_version(installed, wanted, name, what):
    installed("other", b"abd")
    with pytest.raises(InputError, match=re.escape(what)) as caught:
        Packaged("a-model", wanted, "other", ((f"models/{name}", ABC),)).folder()
    assert f"a-model=={wanted}" in str(caught.value) and "\n" not in str(caught.value)


def test_a_package_that_is_missing_is_named():
    line = "a-model 2.0 is not installed; `pip install a-model==2.0`"
    with pytest.raises(InputError, match=line):
        Packaged("a-model", "2.0", "nowhere_at_all", ()).folder()
