"""The seam between work and where it is done, on this machine."""

import threading
import time

import pytest

from vqa_helpers.executor import Local


@pytest.mark.parametrize("workers", [1, 3])
def test_every_unit_is_done_once(workers):
    done = list(Local(workers).map(lambda unit: unit * unit, range(20)))
    assert sorted(done) == [(unit, unit * unit) for unit in range(20)]


def test_one_worker_keeps_the_order_and_takes_units_as_it_goes():
    taken = []

    def units():
        for unit in range(3):
            taken.append(unit)
            yield unit

    done = Local().map(str, units())
    assert next(done) == (0, "0")
    assert taken == [0]
    assert list(done) == [(1, "1"), (2, "2")]


def test_several_work_at_a_time_and_no_more():
    together = threading.Barrier(3, timeout=30)
    at_work, most = [], []

    def work(unit):
        at_work.append(unit)
        most.append(len(at_work))
        together.wait()
        at_work.remove(unit)

    list(Local(3).map(work, range(6)))
    assert max(most) == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_work_raises_comes_out_and_nothing_more_begins(workers):
    begun = []

    def work(unit):
        begun.append(unit)
        if unit == 1:
            raise ValueError("no")
        time.sleep(0.05)

    with pytest.raises(ValueError, match="no"):
        list(Local(workers).map(work, range(100)))
    assert len(begun) < 10


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_begins_once_it_is_stopped(workers):
    stop = threading.Event()

    def work(unit):
        if unit == 2:
            stop.set()
        return unit

    done = [unit for unit, _ in Local(workers).map(work, range(100), stop)]
    assert {0, 1, 2} <= set(done)
    assert len(done) < 10
