"""`vqa sweep`: a real study of optuna on tiny data, what it refuses, and what a kill leaves of it."""

import shlex
import signal
import sqlite3
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.builders import write_dataset
from tests.calling import QUICK, python, refused
from tests.pieces.own_pieces import __file__ as OWN_FILE
from vqa_helpers.cli import main
from vqa_helpers.files import locked
from vqa_helpers.runs import Run

pytestmark = pytest.mark.usefixtures("place")

ASKED = [
    "--choose", "fusion=Product,Concatenation", "--range", "learning_rate=1e-4..1e-2:log",
    "--range", "fusion.dropout=0..0.7", "--set", "classifier.hidden=[8]",
]  # fmt: skip


def test_without_optuna_one_line_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "vqa_helpers.sweep", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    words = ["sweep", "1.e", "--data", "tiny", "--out", "x", "--range", "learning_rate=1..2"]
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "vqa: optuna is not installed; install it: pip install -e '.[sweep]'\n"


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["sweep", "--help"])
    said = capsys.readouterr().out
    assert "--range learning_rate=1e-4..1e-2:log" in said and "resumes an interrupted sweep" in said


class TestWithOptuna:
    @pytest.fixture(autouse=True)
    def optuna(self):
        return pytest.importorskip("optuna", reason="the extra sweep is not installed")

    @pytest.fixture
    def vqa(self, capsys):
        def call(*words) -> tuple[int, str, str]:
            capsys.readouterr()
            code = main([str(word) for word in words])
            return code, *capsys.readouterr()

        return call

    @pytest.fixture
    def sweep(self, vqa, data, tmp_path):
        """Sweep 1.e for an epoch, in a folder whose name an address would misread."""

        def call(*words, trials=1, epochs=1) -> tuple[int, str, str]:
            out = ["--out", tmp_path / "a b?c%41", "--trials", trials, "--epochs", epochs]
            return vqa("sweep", "1.e", "--data", data, *out, *QUICK, *words)

        return call

    def trials(self, folder: Path) -> list:
        import optuna

        record = sqlite3.connect(folder / "study.db")
        storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: record})
        return optuna.load_study(study_name="sweep", storage=storage).trials

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "nothing to look for: name each once: one value with --set, several with --choose"),
            (["--range", "learning_rat=1..2"], "did you mean learning_rate?"),
            (["--range", "learning_rate=1"], "--range learning_rate=1: use NAME=LOW..HIGH"),
            (["--range", "=1..2"], "use NAME=LOW..HIGH"),
            (["--range", "learning_rate=1..2:lin"], "use NAME=LOW..HIGH"),
            (["--range", "learning_rate=1e-4...1e-2"], "use NAME=LOW..HIGH"),
            (["--range", "learning_rate=2..1"], "learning_rate=2.0..1.0: use a lower and a higher"),
            (["--range", "learning_rate=0..1"], "learning_rate 0.0: use a number above 0"),
            (["--range", "crop=0..0.5:log"], "crop=0.0..0.5: use a lower and a higher number, above"),
            (["--range", "batch=8..16.5"], "batch=16.5: use a whole number"),
            (["--range", "flip=false..true"], "other values go to --choose"),
            (["--range", "loss=a..b"], "loss 'a' is none of them"),
            (["--range", "fusion=1..2"], "'fusion' cannot be set"),
            (["--range", "fusion.dropout=0.1..0.7"], "Concatenation has no keyword 'dropout'"),
            (["--choose", "fusion"], "fusion: use NAME=VALUE"),
            (["--choose", "fusion=Product,Concatt"], "did you mean Concatenation?"),
            (["--choose", "loss=cross entropy,crossed"], "loss 'crossed' is none of them"),
            (["--choose", "batch=8,16", "--set", "batch=8"], "batch: name each once"),
            (["--choose", "batch=8,16", "--choose", "batch=4,8"], "batch: name each once"),
            (["--choose", "batch=8,16", "--set", "decay=0.5,1"], "name each once: one value with"),
            (["--choose", "batch=8,16", "--fusion", "Prodct"], "did you mean Product?"),
            (["--choose", "batch=8,16", "--trials", "0"], "--trials is 0; give a whole number from 1"),
            (["--choose", "fusion=Product,Sum", "--fusion", "Sum"], "--fusion Sum: fusion is looked"),
            (["--range", "epochs=1..3"], "--epochs 1: holds for all trials; leave it out"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_looked_for_is_one_line(self, sweep, tmp_path, words, message):
        assert message in refused(sweep(*words))
        assert not list(tmp_path.iterdir())

    @pytest.mark.slow
    def test_a_sweep_chooses_on_validation_and_names_the_command_of_the_best(
        self, sweep, vqa, tmp_path
    ):
        code, out, error = sweep(*ASKED, trials=7, epochs=8)
        assert code == 0, error
        folder = tmp_path / "a b?c%41"
        trials = self.trials(folder)
        assert [trial.state.name for trial in trials] == ["COMPLETE"] * 7
        runs = [Run(folder / "runs" / str(trial.number)) for trial in trials]
        for trial, run in zip(trials, runs, strict=True):
            assert trial.value == run.metrics["validation"]["top1"]["value"]
            fusion = run.config["model"]["fusion"]
            assert fusion["class"] == trial.params["fusion"]
            assert ("fusion.dropout" in trial.params) == (fusion["class"] == "Product")
            if fusion["class"] == "Product":  # a whole number in the range is no whole number here
                assert 0 < trial.params["fusion.dropout"] < 0.7
                assert fusion["keywords"]["dropout"] == pytest.approx(
                    trial.params["fusion.dropout"], rel=1e-3
                )
            rate = run.config["training"]["learning_rate"]
            assert 1e-4 <= rate <= 1e-2 and rate == pytest.approx(
                trial.params["learning_rate"], rel=1e-3
            )
            assert run.config["model"]["classifier"]["keywords"]["hidden"] == [8]
        assert {trial.params["fusion"] for trial in trials} == {"Product", "Concatenation"}
        assert len({trial.params["learning_rate"] for trial in trials}) == 7
        rows = [line.split("|")[1:] for line in out.splitlines() if line.startswith("| ")][2:]
        shown = [int(row[0]) for row in rows]
        assert shown == sorted(range(7), key=lambda n: -trials[n].value)[:5]
        assert [float(row[1].split()[0]) for row in rows] == pytest.approx(
            [trials[n].value for n in shown], abs=0.05
        )
        for name in ("history", "importances", "slice"):
            assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        best = out.splitlines()[-1].removeprefix("the best: vqa ")
        code, _, error = vqa(*shlex.split(best), "--out", tmp_path / "again")
        assert code == 0, error
        one, other = runs[shown[0]], Run(tmp_path / "again")
        assert one.metrics == other.metrics and one.history.equals(other.history)

    @pytest.mark.slow
    def test_the_same_command_repeats_nothing_and_more_trials_go_further(
        self, sweep, tmp_path, monkeypatch
    ):
        from vqa_helpers import sweep as module

        assert sweep(*ASKED, trials=2)[0] == 0
        folder = tmp_path / "a b?c%41"
        first = [(t.number, t.params, t.value, t.datetime_start) for t in self.trials(folder)]
        trained = Mock(side_effect=module.train_seeds)
        monkeypatch.setattr(module, "train_seeds", trained)
        assert sweep(*ASKED, trials=2)[0] == 0 and trained.call_count == 0
        assert sweep(*ASKED, trials=3)[0] == 0 and trained.call_count == 1
        again = [(t.number, t.params, t.value, t.datetime_start) for t in self.trials(folder)]
        assert again[:2] == first and len(again) == 3

    @pytest.mark.slow
    def test_what_is_drawn_twice_is_trained_once(self, sweep, tmp_path):
        assert sweep("--choose", "batch=8,16", trials=5)[0] == 0
        folder = tmp_path / "a b?c%41"
        assert len(self.trials(folder)) == 5
        assert len(list((folder / "runs").glob("*/DONE"))) == 2

    @pytest.mark.slow
    def test_a_trial_that_cannot_be_trained_is_passed_over(self, sweep, vqa, data, tmp_path):
        words = ["--choose", "fusion=CoAttention,Concatenation"]  # the former wants words
        code, out, error = sweep(*words, trials=4)
        assert code == 0, error
        states = {t.params["fusion"]: t.state.name for t in self.trials(tmp_path / "a b?c%41")}
        assert states == {"CoAttention": "FAIL", "Concatenation": "COMPLETE"}
        assert "--fusion Concatenation" in out and "CoAttention" not in out
        line = vqa("sweep", "1.e", "--data", data, "--out", tmp_path / "none", "--trials", 1, *QUICK,
                   "--choose", "fusion=CoAttention")  # fmt: skip
        assert "no trial could be trained" in refused(line)

    def test_a_trial_that_memory_cannot_hold_is_passed_over(self, sweep, tmp_path):
        code, out, error = sweep("--choose", "classifier.hidden=[8],[99999999999]", trials=4)
        assert code == 0, error
        states = {
            t.params["classifier.hidden"]: t.state.name for t in self.trials(tmp_path / "a b?c%41")
        }
        assert states == {"[8]": "COMPLETE", "[99999999999]": "FAIL"}

    @pytest.mark.slow
    def test_another_sweep_a_busy_folder_and_a_broken_record_are_refused(
        self, sweep, vqa, data, tmp_path
    ):
        assert sweep("--choose", "batch=8,16")[0] == 0
        folder = tmp_path / "a b?c%41"
        assert sweep("--choose", "batch=8,16", "--data", f"{data}/.")[0] == 0  # the same folder
        line = refused(sweep("--choose", "batch=8,32"))
        assert "holds a sweep of something else" in line and "batch=8,16" in line
        assert "something else" in refused(sweep("--choose", "batch=8,16", epochs=2))
        with locked(folder / ".lock"):
            assert "another sweep is at work here" in refused(sweep("--choose", "batch=8,16"))
        other = write_dataset(tmp_path / "tiny", images=6, seed=1)
        words = ["--out", folder, "--trials", 1, "--epochs", 1, *QUICK, "--choose", "batch=8,16"]
        assert "something else" in refused(vqa("sweep", "1.e", "--data", other, *words))
        (folder / "study.db").write_bytes(b"no database" * 100)
        assert "study.db cannot be opened" in refused(sweep("--choose", "batch=8,16"))

    def test_a_class_that_changed_is_another_sweep(self, sweep, tmp_path):
        own = tmp_path / "own.py"
        text = Path(OWN_FILE).read_text(encoding="utf-8")
        own.write_text(text, encoding="utf-8")
        words = ["--choose", "batch=8,16", "--pieces", own, "--fusion", "Gated"]
        assert sweep(*words)[0] == sweep(*words)[0] == 0
        own.write_text(text.replace("torch.sigmoid", "torch.tanh"), encoding="utf-8")
        assert "holds a sweep of something else" in refused(sweep(*words))

    @pytest.mark.slow
    def test_a_killed_sweep_goes_on_in_its_trial_and_draws_what_a_whole_one_draws(
        self, vqa, data, tmp_path, caplog
    ):
        """Killed within the second trial, after some of its epochs."""
        words = ["sweep", "1.e", "--data", data, "--trials", "3", "--epochs", "30", *QUICK, *ASKED]
        process = python(*words, "--out", tmp_path / "killed")
        history = tmp_path / "killed" / "runs" / "1" / "history.csv"
        while not history.exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        left = self.trials(tmp_path / "killed")
        assert [trial.state.name for trial in left] == ["COMPLETE", "RUNNING"]
        caplog.set_level("INFO", "vqa_helpers")
        assert vqa(*words, "--out", tmp_path / "killed")[0] == 0
        assert caplog.messages[0].startswith("trial 1: "), "the first is not repeated"
        assert "trial 0: " not in caplog.text
        assert vqa(*words, "--out", tmp_path / "whole")[0] == 0
        resumed, whole = (self.trials(tmp_path / name) for name in ("killed", "whole"))
        assert resumed[0].datetime_complete == left[0].datetime_complete
        assert resumed[1].datetime_start == left[1].datetime_start
        for one, other in zip(resumed, whole, strict=True):
            assert (one.number, one.params, one.value) == (other.number, other.params, other.value)
            done = [tmp_path / n / "runs" / str(one.number) / "DONE" for n in ("killed", "whole")]
            assert done[0].read_text() == done[1].read_text()
