"""Progress: plain lines where nobody watches, a bar on a terminal, the items unchanged in both."""

import io
import logging
import sys

import pytest

from vqa_helpers import progress
from vqa_helpers.progress import meter, track


@pytest.fixture
def clock(monkeypatch, caplog):
    """A clock that stands at `clock[0]` seconds, where nobody watches."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    caplog.set_level(logging.INFO)
    return now


@pytest.mark.parametrize(
    ("items", "seconds_each", "options", "said"),
    [
        # Items end at 4, 8, 12, 16, 20, 24 s: a line for the first that ends 10 s after the last.
        (range(8), 4.0, {"unit": "images"}, ["work: 3 of 8 (38 %) images, 0.2 images a second",
                                             "work: 6 of 8 (75 %) images, 0.2 images a second"]),
        (range(1000), 0.001, {}, []),
        (iter("a"), 20.0, {}, ["work: 1 it, 0.1 it a second"]),
        (iter("a"), 20.0, {"total": 2}, ["work: 1 of 2 (50 %) it, 0.1 it a second"]),
    ],
)  # fmt: skip
def test_a_line_every_ten_seconds(caplog, clock, items, seconds_each, options, said):
    for _ in track(items, "work", **options):
        clock[0] += seconds_each
    assert caplog.messages == said


def test_items_come_through_unchanged_and_one_by_one(clock):
    assert list(track(["a", "b"], "work")) == ["a", "b"]
    assert list(track(iter([]), "work")) == []
    taken = []
    assert next(track((taken.append(i) or i for i in range(5)), "work")) == 0
    assert taken == [0]


def test_bytes_are_told_in_megabytes(caplog, clock):
    with meter("train2014.zip", 500_000_000, 100_000_000) as advance:
        for _ in range(3):
            clock[0] += 6.0
            advance(60_000_000)
    assert caplog.messages == ["train2014.zip: 220 of 500 (44 %) MB, 10.0 MB a second"]


def test_a_bar_on_a_terminal(monkeypatch, caplog):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    caplog.set_level(logging.INFO)
    assert list(track(range(3), "work", unit="images")) == [0, 1, 2]
    assert "work" in terminal.getvalue() and "/3" in terminal.getvalue()
    with meter("a.zip", 2_000_000, 1_000_000) as advance:
        advance(500_000)
    assert "a.zip" in terminal.getvalue() and "1.00M/2.00M" in terminal.getvalue()
    assert not caplog.records
