"""What several tests of the report share."""

import json

import pytest

from tests.report import samples
from tests.report.browser import Browser, find_browser
from vqa_helpers.runs import SPLIT, Experiment, Run


@pytest.fixture
def write(tmp_path):
    """Write a run that is right on a share of 300 questions about 100 images."""

    def make(preset="1.e", share=0.5, seed=0, drawn=None, **changes) -> Run:
        made = samples.answered_rows(share, seed if drawn is None else drawn)
        metrics = samples.metrics(100 * share, vqa=60.0)
        changes = {"predictions": made, "metrics": metrics} | changes
        return Run(samples.write_run(tmp_path, preset, seed, **changes))

    return make


@pytest.fixture
def experiment(write):
    """Write an experiment whose run of seed s is right on `shares[s]` of the questions."""

    def make(preset="1.e", shares=(0.5,), train=900, dataset="demo", **changes) -> Experiment:
        runs = [
            write(preset, share, s, dataset=dataset, **changes) for s, share in enumerate(shares)
        ]
        for run in runs:
            record = {"counts": {"train": {"questions": train}}}
            (run.folder / SPLIT).write_text(json.dumps(record))
        return Experiment(preset, dataset, tuple(runs))

    return make


@pytest.fixture
def dataset(tmp_path):
    return samples.dataset(tmp_path)


@pytest.fixture
def run(tmp_path):
    """A run that answered `dataset`."""
    return Run(samples.write_run(tmp_path))


@pytest.fixture(scope="module")
def browser():
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on this machine; install one: apt-get install chromium")
    opened = Browser(program)
    yield opened
    opened.close()


@pytest.fixture(scope="module", autouse=True)
def elsewhere(place):
    """No dataset of this machine is found by chance."""
