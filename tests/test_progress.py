"""Progress: plain lines where nobody watches, a bar on a terminal, the items unchanged in both."""

import io
import logging
import sys

import pytest

from vqa_helpers import progress
from vqa_helpers.progress import meter, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands at `clock[0]` seconds."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return now


def lines(caplog, items, clock, seconds_each, **options):
    with caplog.at_level(logging.INFO):
        for _ in track(items, "work", **options):
            clock[0] += seconds_each
    return [record.getMessage() for record in caplog.records]


def test_items_come_through_unchanged(monkeypatch, clock):
    assert list(track(["a", "b"], "work")) == ["a", "b"]
    assert list(track(iter([]), "work")) == []
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(track(iter("ab"), "work")) == ["a", "b"]


def test_a_line_every_ten_seconds(caplog, clock):
    # Items end at 4, 8, 12, 16, 20, 24 s; a line at the first item begun 10 s after the last line.
    found = lines(caplog, range(8), clock, 4.0, unit="images")
    assert found == [
        "work: 3/8 (38 %) images, 0.2 a second",
        "work: 6/8 (75 %) images, 0.2 a second",
    ]


def test_quick_work_says_nothing(caplog, clock):
    assert lines(caplog, range(1000), clock, 0.001) == []


def test_the_number_of_items_of_a_generator(caplog, clock):
    assert lines(caplog, iter(range(2)), clock, 20.0) == ["work: 1 it, 0.1 a second"]
    caplog.clear()
    assert lines(caplog, iter(range(2)), clock, 20.0, total=2) == [
        "work: 1/2 (50 %) it, 0.1 a second"
    ]


def test_items_are_taken_one_by_one(clock):
    taken = []
    tracked = track((taken.append(i) or i for i in range(5)), "work")
    assert next(tracked) == 0 and taken == [0]
    tracked.close()


def test_a_bar_on_a_terminal(monkeypatch, caplog):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO):
        assert list(track(range(3), "work", unit="images")) == [0, 1, 2]
    assert "work" in terminal.getvalue() and "/3" in terminal.getvalue()
    assert not caplog.records


def test_bytes_are_told_in_megabytes(caplog, clock):
    with caplog.at_level(logging.INFO), meter("train2014.zip", 500_000_000, 100_000_000) as advance:
        for _ in range(3):
            clock[0] += 6.0
            advance(60_000_000)
    with caplog.at_level(logging.INFO), meter("use.tar.gz") as advance:
        clock[0] += 10.0
        advance(5_000_000)
    assert [record.getMessage() for record in caplog.records] == [
        "train2014.zip: 220 of 500 (44 %) MB, 10.0 MB a second",
        "use.tar.gz: 5 MB, 0.5 MB a second",
    ]


def test_a_bar_of_bytes_on_a_terminal(monkeypatch, caplog):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO), meter("a.zip", 2_000_000, 1_000_000) as advance:
        advance(500_000)
    assert "a.zip" in terminal.getvalue() and "1.00M/2.00M" in terminal.getvalue()
    assert not caplog.records
