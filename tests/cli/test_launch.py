"""`vqa train` in several processes: launched by itself or by accelerate, with one voice."""

import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.calling import QUICK, python, refused
from vqa_helpers.cli import launch
from vqa_helpers.runs import Run

TIMEOUT_S = 280


def test_without_accelerate_the_remedy_is_named(vqa, data, monkeypatch):
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    words = ["train", "1.c", "--data", data, "--processes", "2", *QUICK]
    assert "--processes needs accelerate; install it" in refused(vqa(*words))


def test_no_processes_are_refused(vqa, data):
    words = ["train", "1.c", "--data", data, "--processes", "0", *QUICK]
    assert "0 processes: use 1 or more" in refused(vqa(*words))


def test_the_first_that_fails_ends_the_others(capsys):
    def process(code: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", code])

    sleeps = "import time; time.sleep(600)"
    for code, expected in (("raise SystemExit(2)", 2), ("import os; os.kill(os.getpid(), 9)", 1)):
        started = [process(sleeps), process(code)]
        assert launch._wait(started) == expected
        launch._end(started)
        assert started[0].poll() is not None
    assert "process 2 of 2 was killed by signal 9" in capsys.readouterr().err
    assert launch._wait([process("pass"), process("pass")]) == 0


@pytest.mark.slow
def test_processes_share_a_run_and_speak_with_one_voice(data, tmp_path):
    out = tmp_path / "run"
    words = ["train", "1.c", "--data", data, "--out", out, "--epochs", "1", "--processes", "2"]
    done = python(*words, *QUICK)
    text, error = done.communicate(timeout=TIMEOUT_S)
    assert done.returncode == 0, error
    assert text.count("stand-ins: random-weight vision") == 1
    assert text.splitlines()[-1] == str(out)
    assert error.count("epoch 1/1") == 1 and "Warning" not in error
    assert Run(out).environment["processes"] == 2
    # Other settings are refused in one line, with the exit code of wrong use.
    done = python(*words, *QUICK, "--vision-rate", "1e-4")
    text, error = done.communicate(timeout=TIMEOUT_S)
    assert "trains no part of its vision channel" in refused((done.returncode, text, error))


@pytest.mark.slow
def test_accelerate_launches_it(data, tmp_path):
    accelerate = Path(sysconfig.get_path("scripts")) / "accelerate"
    if not accelerate.exists():
        pytest.skip("accelerate's command is not installed")
    out = tmp_path / "run"
    words = [
        accelerate, "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
        "-m", "vqa_helpers", "train", "Bag_Of_Words", "--data", data, "--out", out,
        "--epochs", "1", *QUICK,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, timeout=TIMEOUT_S, env=environment
    )
    assert done.returncode == 0, done.stderr
    run = Run(out)
    assert run.finished and run.environment["processes"] == 2
    assert len(run.predictions) == 72
    assert done.stdout.splitlines()[-1] == str(out)


@pytest.mark.parametrize(
    ("world", "reason"),
    [("abc", "WORLD_SIZE=abc: is not a number"), ("3", "--processes 2: but WORLD_SIZE says 3"),
     ("2", "the processes cannot find each other")],
)  # fmt: skip
def test_processes_that_were_launched_wrongly_are_refused(vqa, data, monkeypatch, world, reason):
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", world)
    words = ["train", "1.c", "--data", data, "--processes", "2", *QUICK]
    assert reason in refused(vqa(*words))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing ends with its parent")
def test_processes_end_with_a_launcher_that_is_killed(data):
    done = python("train", "1.c", "--data", data, "--processes", "2", "--epochs", "500", *QUICK)
    launcher = psutil.Process(done.pid)
    while len(children := launcher.children()) < 2:
        assert done.poll() is None
        time.sleep(0.05)
    done.kill()
    done.communicate(timeout=TIMEOUT_S)
    assert psutil.wait_procs(children, timeout=20)[1] == []
