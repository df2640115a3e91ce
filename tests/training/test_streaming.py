"""Streaming: the same batches, made ahead, wherever the tables lie."""

import threading

import pytest
import torch
from torch.testing import assert_close

from vqa_helpers.training import batches as batches_module
from vqa_helpers.training import streaming
from vqa_helpers.training.batches import Batch, Batches, FeatureRows, QuestionTensors
from vqa_helpers.training.losses import SoftScores
from vqa_helpers.training.streaming import AHEAD, ahead, home

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def tables(questions: int = 11) -> QuestionTensors:
    lengths = torch.arange(questions) % 4 + 1
    return QuestionTensors(
        torch.arange(questions)[:, None].expand(-1, 4).contiguous() + 2,
        lengths,
        torch.arange(questions) % 3,
        torch.arange(questions),
        SoftScores(torch.arange(questions)[:, None], torch.ones(questions, 1)),
    )


def made(streamed: bool) -> Batches:
    features = FeatureRows(torch.arange(6.0).view(3, 2).half())
    features.resident = not streamed
    return Batches(tables(), features, 4)


@pytest.mark.parametrize("way", ["in order", "shuffled"])
def test_streamed_batches_are_the_resident_ones(way):
    def given(streamed):
        data = made(streamed)
        if way == "in order":
            return list(data.in_order())
        return list(data.shuffled(torch.Generator().manual_seed(1)))

    resident, streamed = given(False), given(True)
    assert len(resident) == len(streamed) == 3
    for expected, found in zip(resident, streamed, strict=True):
        assert_close(found.tensors(), expected.tensors(), rtol=0, atol=0)


def test_the_next_batches_are_made_while_one_is_learnt():
    begun = [threading.Event() for _ in range(6)]

    def numbers():
        for number, event in enumerate(begun):
            event.set()
            yield Batch(None, None, None, torch.tensor([number]))

    given = ahead(numbers(), None)
    next(given)
    assert begun[AHEAD].wait(timeout=30)  # nobody has asked for it yet
    assert not begun[AHEAD + 1].is_set()
    assert [int(batch.target) for batch in given] == [1, 2, 3, 4, 5]


def test_what_goes_wrong_on_the_way_is_raised_where_batches_are_read():
    def broken():
        yield Batch(None, None, None, torch.tensor([0]))
        raise ValueError("row 7")

    given = ahead(broken(), None)
    with pytest.raises(ValueError, match="row 7"):
        list(given)


def test_a_reader_may_stop_early():
    data = made(streamed=True)
    next(data.in_order())
    assert len(list(data.in_order())) == 3


def test_tables_stay_on_the_host_where_the_device_is_too_small(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000, 80_000))
    assert home(500, GPU) == GPU
    assert home(501, GPU) == CPU
    assert home(10**15, CPU) == CPU


def test_batches_know_whether_their_tables_fit(monkeypatch):
    for fits in (True, False):
        place = CPU if fits else torch.device("meta")
        monkeypatch.setattr(batches_module, "home", lambda size, device, place=place: place)
        rows = torch.zeros(3, dtype=torch.int64)
        split = QuestionTensors(None, None, rows, rows)
        assert Batches(split, None, 2).resident is fits


def test_tables_tell_their_size():
    split = QuestionTensors(torch.zeros(5, 2), None, torch.zeros(5).long(), torch.zeros(5).long())
    assert split.nbytes() == 5 * 2 * 4 + 5 * 8 + 5 * 8


def test_sending_to_the_host_changes_nothing():
    tensor = torch.arange(3)
    assert streaming.send(tensor, CPU) is tensor
