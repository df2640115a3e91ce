"""What a result depends on beside its configuration, and which device computes."""

import platform
import subprocess
import sys

import pandas as pd
import pytest

from vqa_helpers import environment
from vqa_helpers.environment import pick_device, pick_precision
from vqa_helpers.errors import InputError
from vqa_helpers.files import write_json
from vqa_helpers.runs import Run


def test_environment_names_versions_and_machine(tmp_path):
    found = environment.environment("cpu", data_sha256="abc")
    write_json(tmp_path / "environment.json", found)
    assert Run(tmp_path).environment == found
    assert found["packages"]["pandas"] == pd.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["device"] == "cpu" and found["device_name"] and found["cpu_count"] >= 1
    assert found["data_sha256"] == "abc" and found["date_utc"].endswith("+00:00")


def test_the_commit_is_of_this_project_or_of_none(tmp_path):
    package = tmp_path / "project" / "vqa_helpers"
    package.mkdir(parents=True)
    (package / "a.py").write_text("1\n")
    (package.parent / "notebook.ipynb").write_text("{}")
    assert environment._checkout(package) is None

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=package.parent, check=True)

    git("init", "-q")
    assert environment._checkout(package) is None  # no commit yet
    git("add", ".")
    git("commit", "-qm", "first", "--no-verify")
    clean = environment._checkout(package)
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    (package.parent / "notebook.ipynb").write_text("{ }")
    assert environment._checkout(package) == clean
    (package / "a.py").write_text("2\n")
    assert environment._checkout(package)["dirty"] is True
    inner = package / "site-packages" / "vqa_helpers"
    inner.mkdir(parents=True)
    assert environment._checkout(inner) is None  # installed inside somebody else's repository


def test_auto_is_a_device_this_machine_has():
    assert pick_device("auto") in ("cpu", "cuda")
    assert pick_device("cpu") == "cpu"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library's memory")
@pytest.mark.slow
def test_memory_that_is_kept_is_not_asked_for_again():
    taken = """
import resource, sys, torch
from vqa_helpers.environment import keep_memory
if sys.argv[1:]:
    keep_memory()
for _ in range(20):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(2**24)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    command = [sys.executable, "-c", taken]
    done = [subprocess.run([*command, *more], capture_output=True, text=True, check=True)
            for more in ([], ["kept"])]  # fmt: skip
    anew, kept = (int(one.stdout) for one in done)
    assert kept < anew / 10


def test_half_floats_are_for_a_cpu_that_has_them_in_silicon(monkeypatch):
    flags = {"avx2 avx512f": "float32", "avx512f avx512_bf16": "bfloat16",
             "amx_bf16 amx_tile": "bfloat16", "": "float32"}  # fmt: skip
    for said, expected in flags.items():
        told = f"model name\t: X\nflags\t: {said}"
        monkeypatch.setattr(environment, "_cpuinfo", lambda told=told: told)
        assert pick_precision("cpu") == expected
    monkeypatch.setattr(environment, "_cpuinfo", lambda: "flags : avx512_bf16")
    monkeypatch.setattr(environment, "pick_device", lambda device: "cuda")
    assert pick_precision("auto") == "float32"


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99", "meta", "hpu", "CPU", "privateuseone"])
def test_a_device_that_is_not_there_is_refused_in_one_line(device):
    with pytest.raises(InputError, match=f"device '{device}' cannot be used .*; try cpu") as error:
        pick_device(device)
    assert "\n" not in str(error.value)
