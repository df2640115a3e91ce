"""Runs compared from their folders."""

import numpy as np
import pytest

from tests.report import samples
from tests.report.samples import answered_rows as rows
from vqa_helpers.errors import InputError
from vqa_helpers.report.compare import compare_runs, comparison_table, read_answered


def test_two_runs_by_hand(write):
    ours, theirs = write("1.e", 0.7), write("1.f", 0.4)
    compared = compare_runs(ours, theirs)
    hits = [np.array([row["answers"][0] == "yes" for row in rows(share)]) for share in (0.7, 0.4)]
    assert compared.split == "test" and compared.questions == 300
    assert compared.top1.value == pytest.approx(100 * (hits[0].mean() - hits[1].mean()), abs=0.005)
    assert compared.vqa.value == pytest.approx(0.6 * compared.top1.value, abs=0.01)
    assert compared.verdict == "better" and compared.mcnemar_p < 1e-6
    assert compare_runs(theirs, ours).verdict == "worse"
    assert compare_runs(ours, ours).verdict == "cannot tell"


def test_the_order_of_the_rows_does_not_matter(write):
    ours, theirs = write("1.e", 0.6), write("1.f", 0.5, drawn=3)
    turned = write("1.b", 0.5, drawn=3, predictions=rows(0.5, 3)[::-1])
    assert compare_runs(ours, theirs) == compare_runs(ours, turned)


def test_several_seeds_are_one_model(write):
    ours = [write("1.e", 0.6, seed) for seed in range(3)]
    theirs = [write("1.f", 0.4, seed, drawn=10 + seed) for seed in range(2)]
    compared = compare_runs(ours, theirs)
    assert compared.mcnemar_p is None and compared.verdict == "better"
    means = [np.mean(read_answered(side).top1) for side in (ours, theirs)]
    assert compared.top1.value == pytest.approx(100 * (means[0] - means[1]), abs=0.005)
    assert read_answered(ours).top1.shape == (3, 300)


def test_validation_is_compared_where_test_has_no_answers(write):
    metrics = samples.metrics(50.0, test=False)
    runs = [write(name, share, metrics=metrics, predictions=rows(share, split="validation"))
            for name, share in (("1.e", 0.7), ("1.f", 0.4))]  # fmt: skip
    assert compare_runs(*runs).split == "validation"


def test_without_ten_answers_there_is_top1_alone(write):
    runs = [write(name, 0.5, predictions=rows(0.5, vqa=False)) for name in ("1.e", "1.f")]
    assert compare_runs(*runs).vqa is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda made: made[:-1], "were not scored on the same questions"),
        (lambda made: [row | {"truth": "no"} for row in made], "not scored on the same questions"),
        (lambda made: [row | {"image_id": 1} for row in made], "not scored on the same questions"),
        (
            lambda made: [row | {"split": "validation"} for row in made],
            "has no predictions of test",
        ),
        (lambda made: [row | {"image_id": None} for row in made], "has no image_id; train the run"),
        (lambda made: [row | {"blind": None} for row in made], "has no blind; train the run"),
        (lambda made: [row | {"truth": None} for row in made], "has no truth; train the run"),
    ],
)
def test_what_cannot_be_compared(write, changed, said):
    with pytest.raises(InputError, match=said) as caught:
        compare_runs(write("1.e", 0.5), write("1.f", 0.5, predictions=changed(rows(0.5))))
    assert "1.f" in str(caught.value) and "\n" not in str(caught.value)


def test_seeds_on_other_questions_are_no_model(write):
    other = write("1.e", 0.5, 1, predictions=rows(0.5)[3:])
    with pytest.raises(InputError, match="seeds are compared on one split"):
        read_answered([write("1.e", 0.5, 0), other])


def test_runs_that_differ_in_more_than_their_seed_are_no_model(write):
    with pytest.raises(InputError, match="has another epochs than .*; name the runs one by one"):
        read_answered([write("1.e", 0.5, 0), write("1.e", 0.5, 1, epochs=3)])
    with pytest.raises(InputError, match="has another preset"):
        compare_runs([write("1.e", 0.5), write("1.f", 0.5)], write("1.b", 0.5))


def test_a_comparison_for_people(write):
    table = comparison_table(compare_runs(write("1.e", 0.7), write("1.f", 0.4))).set_index("metric")
    assert (
        table.loc["top-1", "verdict"] == "better" and float(table.loc["top-1", "McNemar p"]) < 0.01
    )
    assert table.loc["VQA accuracy", "first over second"].startswith("+")
