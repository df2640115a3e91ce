"""Units of work done here, and on a real Ray cluster of two workers: deaths, errors, refusals."""

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.kills import sums
from tests.calling import QUICK, python, wait_until
from tests.test_batch import FINISH, write
from vqa_helpers.batch import run_batch, select
from vqa_helpers.cli import main
from vqa_helpers.cluster import executor_of, ray_cluster, run_here
from vqa_helpers.errors import InputError

ROOT = Path(__file__).parents[1]
STARTS = 3  # Ray gives its processes 15 s to start, which a busy machine exceeds now and then


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


# ---------------------------------------------------------------- here


@pytest.mark.parametrize("jobs", [0, 1, 3])
def test_every_unit_is_done_once(jobs):
    done = list(run_here(lambda unit: unit * unit, range(20), jobs))
    assert sorted(done) == [(unit, unit * unit) for unit in range(20)]


def test_without_threads_a_unit_is_taken_when_its_result_is_asked_for():
    taken = []
    done = run_here(str, (taken.append(unit) or unit for unit in range(3)))
    assert next(done) == (0, "0") and taken == [0]


def test_as_many_work_at_a_time_as_there_are_jobs():
    together = threading.Barrier(3, timeout=30)  # nobody passes before three are there
    assert len(list(run_here(lambda _: together.wait(), range(6), 3))) == 6


@pytest.mark.parametrize("jobs", [0, 2])
def test_what_the_work_raises_comes_out_and_nothing_more_begins(jobs):
    begun = []

    def work(unit):
        begun.append(unit)
        if unit == 1:
            raise ValueError("no")
        time.sleep(0.05)

    with pytest.raises(ValueError, match="no"):
        list(run_here(work, range(100), jobs))
    assert len(begun) < 10


# ---------------------------------------------------------------- what is refused before Ray is asked


def refusal(**options) -> str:
    options = {"executor": "ray", "address": None, "workers": 0} | options
    with pytest.raises(InputError) as error, executor_of(Namespace(**options)):
        pass
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "nowhere", "host:port"])
def test_an_address_where_nothing_listens(form, monkeypatch):
    there = form.format(free_port())
    assert f"Ray at {there}: does not answer" in refusal(address=there)
    monkeypatch.setenv("RAY_ADDRESS", there)
    assert f"Ray at {there}: does not answer" in refusal(address="auto")


def test_options_that_do_not_go_together():
    assert "which cluster?" in refusal()
    assert "add --executor ray" in refusal(executor="local", address="auto")
    assert "-1 workers: use 1 or more" in refusal(address="auto", workers=-1)


def test_ray_is_needed_on_a_cluster_alone(monkeypatch):
    code = "import sys, vqa_helpers.batch, vqa_helpers.cluster\nsys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'ray[client]'" in refusal(address="auto")
    with executor_of(Namespace(executor="local", address=None, workers=0), 2) as map_units:
        assert sorted(map_units(str, [1, 2])) == [(1, "1"), (2, "2")]


# ---------------------------------------------------------------- on a cluster

# Ray is not imported here: it reads its settings when it is.
needs_ray = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]


@pytest.fixture(scope="module")
def cluster(place):
    """Address and process of a cluster of this machine: two workers, a token, loopback."""
    port, log_file = free_port(), place / "ray.log"
    command = [
        sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head",
        "--block", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", f"--port={port}", f"--object-store-memory={80 * 2**20}",
        f"--ray-client-server-port={free_port()}",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback
        # Workers started ahead would not have the package that is sent along, and be of no use.
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        for _ in range(STARTS):
            head = started(command, log_file)
            if head.poll() is None:
                break
        assert head.poll() is None, log_file.read_text()
        try:
            yield f"127.0.0.1:{port}", head.pid
        finally:
            head.send_signal(signal.SIGTERM)  # it ends what it started
            head.wait(60)


def started(command: list[str], log_file: Path) -> subprocess.Popen:
    with log_file.open("w") as log:
        head = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    wait_until(lambda: head.poll() is not None or "runtime started" in log_file.read_text(), 120)
    return head


@pytest.fixture(scope="module")
def address(cluster):
    return cluster[0]


@pytest.fixture(scope="module")
def map_units(address):
    with ray_cluster(address) as map_units:
        yield map_units


@pytest.fixture(scope="module")
def at_work(cluster):
    """Tells the processes of this cluster, not of another on this machine, that do units."""
    psutil = pytest.importorskip("psutil")

    def does_a_unit(process) -> bool:
        try:
            return (process.cmdline() or [""])[0].startswith("ray::_do")
        except psutil.NoSuchProcess:  # it ended meanwhile
            return False

    return lambda: [p for p in psutil.Process(cluster[1]).children(True) if does_a_unit(p)]


class TestUnits:
    pytestmark = needs_ray

    def test_two_processes_do_them_in_the_working_folder_and_keep_their_work(
        self, map_units, place
    ):
        class Work:
            done = 0

            def __call__(self, unit):
                self.done += 1
                Path("seen", str(os.getpid())).touch()
                limit = time.monotonic() + 100  # that the second one may take to start
                while len(list(Path("seen").iterdir())) < 2 and time.monotonic() < limit:
                    time.sleep(0.05)
                return os.getcwd(), os.getpid(), self.done

        (place / "seen").mkdir()
        done = dict(map_units(Work(), iter(range(6))))
        assert sorted(done) == list(range(6))
        assert {folder for folder, _, _ in done.values()} == {str(place)}
        pids = {pid for _, pid, _ in done.values()}
        assert len(pids) == 2 and os.getpid() not in pids
        assert max(count for _, _, count in done.values()) >= 3
        assert list(map_units(str, [])) == []

    def test_one_whose_worker_was_killed_is_done_again(self, map_units, tmp_path):
        def work(unit):
            if unit == 3 and not (tmp_path / "3").exists():
                (tmp_path / "3").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return unit * unit

        assert sorted(map_units(work, range(8))) == [(unit, unit * unit) for unit in range(8)]
        assert (tmp_path / "3").exists()

    def test_one_that_kills_every_worker_is_given_up(self, map_units, tmp_path):
        def work(unit):
            with (tmp_path / "tries").open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)

        with pytest.raises(InputError, match="^poison: no worker survived it, in 3 tries") as held:
            list(map_units(work, ["poison"]))
        assert (tmp_path / "tries").read_text() == "xxx", held.value

    def test_the_others_are_ended_when_one_fails_or_nobody_waits(self, map_units, at_work):
        import ray

        def work(unit):
            if unit == 7:
                raise InputError(f"{unit}: is wrong; mend it")
            time.sleep(600 if unit else 0)

        def ended() -> bool:
            return not at_work() and ray.available_resources().get("CPU") == 2

        with pytest.raises(InputError, match="^7: is wrong; mend it$") as held:
            list(map_units(work, [1, 7, 2]))
        wait_until(ended, 30)
        assert held.tb is not None  # with all that its frames hold
        done = map_units(work, [0, 1, 2])
        assert next(done) == (0, None)
        done.close()
        wait_until(ended, 30)

    def test_a_working_folder_that_workers_do_not_see(self, map_units, monkeypatch):
        monkeypatch.setattr("vqa_helpers.cluster.os.getcwd", lambda: "/else/where")
        with pytest.raises(InputError, match="^/else/where: the machine .* does not see it"):
            list(map_units(str, [1]))

    def test_notebooks_run_and_one_whose_worker_was_killed_runs_again(self, map_units, place):
        pytest.importorskip("papermill")
        source, out, once = place / "notebooks", place / "out", place / "once"
        # Kills the worker that runs it, the first time: kernel, papermill, worker.
        kill = f"""\
import os, psutil, time
from pathlib import Path
if not Path({str(once)!r}).exists():
    Path({str(once)!r}).touch()
    psutil.Process(os.getppid()).parent().kill()
    time.sleep(600)"""
        write(source, "Killed", kill, FINISH)
        write(source, "Bad", "undefined_name", FINISH)
        for expected in ("done", "skipped"):
            outcomes = run_batch(select(source), ["COUNT=2"], out=out, map_units=map_units)
            found = {outcome.notebook.stem: outcome.status for outcome in outcomes}
            assert found == {"Killed": expected, "Bad": "failed"}
        assert once.exists() and (out / "failed" / "Bad.ipynb").is_file()
        assert not [path for path in out.rglob(".*") if path.name != ".lock"]


# ---------------------------------------------------------------- the command, in its own processes


def vqa(*words) -> tuple[int, str, str]:
    process = python(*words)
    out, error = process.communicate(timeout=200)
    return process.returncode, out, error


def features(data, out, *more) -> list:
    words = ["features", "--data", data, "--encoder", "resnet18", *QUICK[:4], "--features", out]
    return [*words, *more]


class TestCommand:
    pytestmark = needs_ray

    def test_seeds_are_the_same_bytes_though_their_workers_were_killed(
        self, address, at_work, data, place
    ):
        train = ["train", "Bag_Of_Words", "--data", data, "--epochs", "1", "--seeds", "2", *QUICK]
        process = python(*train, "--out", "there", "--executor", "ray", "--address", address)
        wait_until(at_work, 120)
        for worker in at_work():
            worker.kill()
        error = process.communicate(timeout=200)[1]
        assert process.returncode == 0, error
        assert main([*map(str, train), "--out", "here"]) == 0
        left = sums(place / "there")
        assert left == sums(place / "here") and sum("model" in name for name in left) == 2

    def test_features_from_a_cluster_of_its_own_are_the_same_bytes(self, data, place):
        for _ in range(STARTS):
            code, _, error = vqa(*features(data, "far", "--executor", "ray", "--address", "local"))
            if "cannot be joined" not in error:
                break
        assert code == 0, error
        assert main([*map(str, features(data, "near"))]) == 0
        assert sums(place / "far") == sums(place / "near") != {}

    def test_a_wrong_token_is_refused(self, address, data, monkeypatch):
        monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        words = features(data, "features", "--executor", "ray", "--address", address)
        code, out, error = vqa(*words)
        assert (code, out) == (2, "") and "Traceback" not in error
        line = error.splitlines()[-1]  # after one of Ray's own
        assert f"Ray at {address}: cannot be joined" in line and "token" in line
