"""Work on a real Ray cluster of two workers: shards, notebooks, seeds, deaths, refusals."""

import hashlib
import importlib.util
import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.batch.test_runner import FINISH, write
from tests.builders import write_dataset
from tests.cli.calling import QUICK, refused
from tests.clusters import STARTS, free_port, ray_cluster, wait_until
from vqa_helpers.batch.runner import run_batch, select
from vqa_helpers.cli import main
from vqa_helpers.cluster import Cluster
from vqa_helpers.data.folder import read_folder
from vqa_helpers.errors import InputError
from vqa_helpers.features import extract
from vqa_helpers.features.extract import fill_store

# Not imported here: Ray reads its settings when it is.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),  # one cluster, in one of the processes that test
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]

ROOT = Path(__file__).parents[1]
HOW = {"encoder": "resnet18", "weights": "random", "size_px": 32}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The working folder that driver and workers share."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(ROOT))
        yield folder


@pytest.fixture(scope="module")
def ray(place):
    with ray_cluster(place) as started:
        yield started


@pytest.fixture(scope="module")
def address(ray):
    return ray[0]


@pytest.fixture(scope="module")
def cluster(address):
    with Cluster(address) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def workers(ray):
    """Gives the processes of the cluster's workers that are at work."""
    psutil = pytest.importorskip("psutil")

    def find():
        children = psutil.Process(ray[1]).children(recursive=True)
        return [child for child in children if _name(child).startswith("ray::_Worker")]

    def _name(process):
        try:
            return " ".join(process.cmdline())
        except psutil.Error:
            return ""

    return find


@pytest.fixture(scope="module")
def data(place) -> Path:
    return write_dataset(place / "tiny", images=12)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name[0] != "."
    }


class Killing:
    """The cluster, with one of its workers killed once two units are done."""

    def __init__(self, cluster: Cluster, workers) -> None:
        self.cluster, self.workers = cluster, workers
        self.killed = 0

    def map(self, work, units, stop=None):
        for number, done in enumerate(self.cluster.map(work, units, stop)):
            if number == 2:
                self.workers()[0].kill()
                self.killed += 1
            yield done


def test_units_are_done_by_two_processes_in_the_working_folder(cluster, place):
    def work(unit):
        import os
        import time

        time.sleep(0.2)
        return os.getcwd(), os.getpid()

    assert cluster.workers == 2
    done = dict(cluster.map(work, iter(range(6))))
    assert sorted(done) == list(range(6))
    assert {folder for folder, _ in done.values()} == {str(place)}
    pids = {pid for _, pid in done.values()}
    assert len(pids) == 2 and os.getpid() not in pids


def test_no_more_workers_than_units(cluster):
    assert list(cluster.map(str, [7])) == [(7, "7")]
    assert list(cluster.map(str, [])) == []


def test_a_unit_whose_worker_was_killed_is_done_again(cluster, tmp_path, caplog):
    def work(unit):
        import os
        import signal

        begun = tmp_path / str(unit)
        if unit == 3 and not begun.exists():
            begun.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return unit * unit

    done = list(cluster.map(work, range(8)))
    assert sorted(done) == [(unit, unit * unit) for unit in range(8)]
    assert "3: its worker died, another one does it" in caplog.text


def test_a_unit_that_kills_every_worker_is_given_up(cluster, tmp_path):
    def work(unit):
        import os
        import signal

        with (tmp_path / "tries").open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(InputError, match="^poison: 3 workers died of it"):
        list(cluster.map(work, ["poison"]))
    assert (tmp_path / "tries").read_text() == "xxx"


def test_what_the_work_raises_comes_out_and_no_worker_stays(cluster, workers):
    def work(unit):
        raise InputError(f"{unit}: is wrong; mend it")

    with pytest.raises(InputError, match="^7: is wrong; mend it$") as held:
        list(cluster.map(work, [7]))
    wait_until(lambda: not workers(), seconds=30)
    assert held.tb is not None  # with all that its frames hold, the worker's handle too


def test_a_working_folder_that_workers_do_not_see(cluster, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setattr("vqa_helpers.cluster.os.getcwd", lambda: str(gone / "elsewhere"))
    with pytest.raises(InputError, match="elsewhere: the machine .* does not see it"):
        list(cluster.map(str, [1]))


def test_it_stops_when_told(cluster, workers):
    stop = threading.Event()

    def work(unit):
        import time

        time.sleep(600 if unit else 0)

    for _ in cluster.map(work, [0, 1, 2], stop):
        stop.set()
    wait_until(lambda: not workers(), seconds=30)


def test_features_are_the_same_bytes_though_a_worker_was_killed(
    cluster, workers, data, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(extract, "SHARD_IMAGES", 3)
    images = read_folder(data).images
    here = fill_store(tmp_path / "here", images, **HOW)
    killing = Killing(cluster, workers)
    there = fill_store(tmp_path / "there", images, **HOW, map_units=killing.map)
    assert killing.killed == 1
    assert "its worker died, another one does it" in caplog.text
    assert len(digests(here.folder)) == 13  # twelve shards and the manifest
    assert digests(here.folder) == digests(there.folder)
    # Resumed after the loss of shards, on the cluster as well.
    for name in ("shard-00002.safetensors", "shard-00007.safetensors", "manifest.json"):
        (there.folder / name).unlink()
    fill_store(tmp_path / "there", images, **HOW, map_units=cluster.map)
    assert digests(here.folder) == digests(there.folder)


def test_images_that_workers_do_not_see_are_no_bad_images(cluster, tmp_path):
    images = {1: tmp_path / "1.png", 2: tmp_path / "2.png"}
    with pytest.raises(InputError, match="1.png: the machine .* sees neither this image nor"):
        fill_store(tmp_path / "store", images, **HOW, map_units=cluster.map)


def test_notebooks_run_and_a_killed_one_runs_again(cluster, place, monkeypatch):
    pytest.importorskip("papermill")
    source, out, once = place / "notebooks", place / "out", place / "once"
    # Kills the worker that minds it, the first time: kernel, papermill, worker.
    kill = f"""\
import os, signal
from pathlib import Path
import psutil
if not Path({str(once)!r}).exists():
    Path({str(once)!r}).touch()
    psutil.Process(os.getppid()).parent().send_signal(signal.SIGKILL)
    import time
    time.sleep(600)"""
    write(source, "Killed", kill, FINISH)
    write(source, "Bad", "undefined_name", FINISH)
    write(source, "Good", FINISH)
    outcomes = run_batch(select(source), {"COUNT": 2}, out=out, executor=cluster, timeout_s=120)
    assert {o.notebook.stem: o.status for o in outcomes} == {
        "Killed": "done",
        "Bad": "failed",
        "Good": "done",
    }
    assert once.exists()
    assert (out / "Killed.ipynb").is_file() and (out / "failed" / "Bad.ipynb").is_file()
    again = run_batch(select(source, "[GK]*"), {"COUNT": 2}, out=out, executor=cluster)
    assert [outcome.status for outcome in again] == ["skipped", "skipped"]
    assert not [path for path in out.rglob(".*") if path.name != ".lock"]


def test_the_command_trains_seeds_and_computes_features(address, data, place, capsys):
    """In processes of their own, as the module's connection is this one's."""
    there = ["--executor", "ray", "--address", address]
    train = ["train", "Bag_Of_Words", "--data", data, "--epochs", "1", "--seeds", "2", *QUICK]
    features = ["features", "--data", data, "--encoder", "resnet18", *QUICK[:4]]
    for words in ([*train, "--out", "there", *there], [*features, "--features", "far", *there]):
        done = subprocess.run(
            [sys.executable, "-m", "vqa_helpers", *map(str, words)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert main([*map(str, train), "--out", "here"]) == 0
    assert main([*map(str, features), "--features", "near"]) == 0
    for seed in ("0", "1"):
        for name in ("model.safetensors", "history.csv", "predictions.jsonl", "metrics.json"):
            far, near = place / "there" / seed / name, place / "here" / seed / name
            assert far.read_bytes() == near.read_bytes(), name
    store = Path("tiny", "resnet18-random-32")
    assert digests(place / "far" / store) == digests(place / "near" / store)


def test_a_small_cluster_of_its_own_is_started_and_gone(data, place):
    words = [*on("local", data), "--image-size", "32", "--features", "own"]
    for _ in range(STARTS):
        code, out, error = vqa(*words)
        if "Ray cannot be started here" not in error:
            break
    assert code == 0, error
    here = fill_store(place / "own-here", read_folder(data).images, **HOW)
    assert digests(place / out.strip()) == digests(here.folder)


# --- refusals, each in a process of its own ---


def vqa(*words, code: str = "", **environment) -> tuple[int, str, str]:
    """The command, after `code`."""
    script = f"{code}\nimport sys\nfrom vqa_helpers.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.returncode, done.stdout, done.stderr


def on(address, data) -> list:
    words = ["features", "--data", data, "--encoder", "resnet18", "--weights", "random"]
    return [*words, "--executor", "ray", *(["--address", address] if address else [])]


def test_an_address_where_nothing_listens(data):
    for address in (f"127.0.0.1:{free_port()}", f"ray://127.0.0.1:{free_port()}"):
        line = refused(vqa(*on(address, data)))
        assert f"Ray at {address}: does not answer" in line


@pytest.mark.parametrize("address", ["nowhere", "ray://host", "host:port"])
def test_what_is_no_address(data, address):
    assert f"Ray at {address}: is no address" in refused(vqa(*on(address, data)))


def test_auto_is_the_cluster_of_the_environment(data):
    address = f"127.0.0.1:{free_port()}"
    line = refused(vqa(*on("auto", data), RAY_ADDRESS=address))
    assert f"Ray at {address}: does not answer" in line


def test_a_cluster_must_be_named(data):
    assert "--executor ray: which cluster?" in refused(vqa(*on(None, data)))
    words = ["features", "--data", data, "--address", "auto"]
    assert "add --executor ray" in refused(vqa(*words))


def test_a_wrong_token_is_refused(address, data):
    code, out, error = vqa(*on(address, data), RAY_AUTH_TOKEN=secrets.token_hex(32))
    assert (code, out) == (2, "") and "Traceback" not in error
    line = error.splitlines()[-1]  # after one of Ray's own
    assert f"Ray at {address}: cannot be joined" in line and "RAY_AUTH_TOKEN" in line


def test_without_ray_the_remedy_is_named(data):
    code = """\
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name == "ray" else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]"""
    line = refused(vqa(*on("auto", data), code=code))
    assert "pip install vqa-helpers[ray]" in line


def test_the_default_never_imports_ray(data):
    code = "import atexit, sys\natexit.register(lambda: print('ray' in sys.modules))"
    words = ["--encoder", "resnet18", *QUICK[:4], "--features", "without"]
    result, out, error = vqa("features", "--data", data, *words, code=code)
    assert result == 0, error
    assert out.splitlines()[-1] == "False"
