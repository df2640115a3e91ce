"""Processes that train together: alone nothing is asked of accelerate, in two the gradient is that
of one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vqa_helpers.errors import InputError
from vqa_helpers.training.batches import Batches, QuestionTensors
from vqa_helpers.training.team import ALONE, Team, assemble

ROOT = Path(__file__).resolve().parents[2]


def run_together(module: str, *words: object, processes: int = 2) -> str:
    """Run a module in processes that know of one another; what the main one prints."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = str(listening.getsockname()[1])
    shared = {
        **os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            cwd=ROOT,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(processes)
    ]  # fmt: skip
    try:
        ended = [process.communicate(timeout=500) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, error) in zip(started, ended, strict=True):
        assert process.returncode == 0, error
    assert all(not out for out, _ in ended[1:])
    return ended[0][0]


def test_alone_there_is_nothing_to_share():
    rows = torch.arange(5)
    assert ALONE.main and torch.equal(ALONE.share(rows), rows) and ALONE.sum(rows) is rows
    assert ALONE.whole(rows, rows, 5) is rows
    assert ALONE.from_main(lambda: 7) == ALONE.main_first(lambda: 7) == 7
    assert ALONE.everyones([1]) == [1]
    model = torch.nn.Linear(1, 1)
    assert ALONE.joined(model) is model
    state = torch.get_rng_state()
    ALONE.reseed(0, 0)
    ALONE.spread(model)
    ALONE.leave()
    assert torch.equal(torch.get_rng_state(), state)


def test_one_process_is_alone_without_accelerate(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)  # as if it were not installed
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert assemble("cpu") is ALONE
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert assemble() is ALONE
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="need accelerate; install it"):
        assemble("cpu")
    with pytest.raises(InputError, match="'cuda:1': several processes take a GPU each"):
        assemble("cuda:1")


def shared(questions: int, size: int, team: Team) -> Batches:
    rows = torch.arange(questions)
    return Batches(QuestionTensors(rows[:, None], None, rows, rows), None, size, team=team)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("questions", "size"), [(20, 6), (19, 6), (7, 7), (9, 4)])
def test_shares_are_disjoint_and_complete(questions, size, count):
    whole = list(shared(questions, size, ALONE).shuffled(torch.Generator().manual_seed(1)))
    parts = [
        list(shared(questions, size, Team(rank, count)).shuffled(torch.Generator().manual_seed(1)))
        for rank in range(count)
    ]
    assert len({len(part) for part in parts}) == 1  # every process takes every step
    for step, theirs in enumerate(zip(*parts, strict=True)):
        found = sorted(row for batch in theirs for row in batch.rows.tolist())
        if questions % size in (0, 1) or questions % size >= count:  # else the last one is joined
            assert found == sorted(whole[step].rows.tolist())
        assert all(len(batch) >= batch.least >= 1 for batch in theirs)
        assert {batch.least for batch in theirs} == {len(found) // count}
        assert len({len(batch.cut(4)) for batch in theirs}) == 1
    seen = sorted(row for part in parts for batch in part for row in batch.rows.tolist())
    assert seen == list(range(questions))


def test_evaluation_takes_every_question_once_and_no_empty_batch():
    parts = [list(shared(9, 4, Team(rank, 2)).in_order()) for rank in range(2)]
    assert [len(part) for part in parts] == [3, 2]  # the ninth question is the first process's
    assert sorted(r for part in parts for b in part for r in b.rows.tolist()) == list(range(9))


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_one():
    found = json.loads(run_together("tests.training.worker"))
    for name in ("plain", "batch norm", "in parts", "one row"):
        assert found[name] < 1e-12, name  # in double precision
    assert found["statistics"] < 1e-12
    assert found["evaluation"] == found["evaluation alone"]
    assert found["everyones"] == [0, 10]
    assert found["error"] == "main says no"
    assert found["frozen"] == 0.0
