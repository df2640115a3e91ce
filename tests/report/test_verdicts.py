"""Experiments compared: with one another, with the best blind guess, and in one line."""

from itertools import combinations

import pytest

from tests.report import samples
from tests.report.samples import answered_rows as rows
from vqa_helpers.errors import InputError
from vqa_helpers.report import verdicts


def test_two_runs_by_hand(write):
    ours, theirs = write("1.e", 0.7), write("1.f", 0.4)
    found = verdicts.compare(ours, theirs)
    hits = [samples.share_right(rows(share)) for share in (0.7, 0.4)]
    assert (found["first"], found["second"]) == ("1.e", "1.f")
    assert found["split"] == "test" and found["questions"] == 300
    assert found["top1"].value == pytest.approx(100 * (hits[0] - hits[1]), abs=0.005)
    assert found["vqa"].value == pytest.approx(0.6 * found["top1"].value, abs=0.01)
    assert found["verdict"] == "better" and found["mcnemar_p"] < 1e-6
    assert verdicts.compare(theirs, ours)["verdict"] == "worse"
    assert verdicts.compare(ours, ours)["verdict"] == "cannot tell"
    turned = write("1.b", 0.4, predictions=rows(0.4)[::-1])  # the order of the rows
    assert verdicts.compare(ours, turned)["top1"] == found["top1"]


def test_several_seeds_are_one_experiment(write):
    ours = [write("1.e", 0.6, seed) for seed in range(3)]
    theirs = [write("1.f", 0.4, seed, drawn=10 + seed) for seed in range(2)]
    found = verdicts.compare(ours, theirs)
    assert found["mcnemar_p"] is None and found["verdict"] == "better"
    means = [verdicts.read_answers(side).top1.mean() for side in (ours, theirs)]
    assert found["top1"].value == pytest.approx(100 * (means[0] - means[1]), abs=0.005)
    answers = verdicts.read_answers(ours)
    assert answers.top1.shape == answers.first.shape == answers.sure.shape == (3, 300)
    assert answers.blind.mean() == pytest.approx(1 / 3)


def test_validation_is_read_where_it_is_asked_for(write):
    test, validation = rows(0.6), rows(0.3, seed=1, split="validation")
    run = write(predictions=[*test, *validation])
    for split, made in (("validation", validation), ("test", test)):
        answers = verdicts.read_answers(run, split)
        assert answers.split == split
        assert answers.top1.tolist() == [[float(row["answers"][0] == "yes") for row in made]]
    assert verdicts.read_answers(run).split == "test"


def test_runs_are_grouped_by_all_but_their_seed(write):
    runs = [write("1.e", 0.5, 1), write("1.f", 0.5), write("1.e", 0.5, 0)]
    grouped = verdicts.as_list(runs)
    assert [len(one.runs) for one in grouped] == [2, 1] and verdicts.as_list(grouped) == grouped
    assert verdicts.as_one(runs[1]).runs == (runs[1],)
    for apart in (runs, [write("1.b", 0.5, 0), write("1.b", 0.5, 1, epochs=3)]):
        with pytest.raises(InputError, match="differ only in the seed"):
            verdicts.as_one(apart)


def test_without_ten_answers_there_is_top1_alone_and_without_test_validation(write):
    made = rows(0.5, vqa=False, split="validation")  # of which alone there are answers
    metrics = samples.metrics(50.0, test=False)
    runs = [write(name, 0.5, predictions=made, metrics=metrics) for name in ("1.e", "1.f")]
    found = verdicts.compare(*runs)
    assert found["vqa"] is None and found["split"] == "validation"
    table = verdicts.pair_table([runs])
    assert table["VQA accuracy points"].isna().all() and table["McNemar p"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda made: made[:-1], "not scored on the same questions"),
        (lambda made: [row | {"truth": "no"} for row in made], "not scored on the same questions"),
        (lambda made: [row | {"image_id": 1} for row in made], "not scored on the same questions"),
        (lambda made: [row | {"split": "validation"} for row in made], "there is none of test"),
        (lambda made: [row | {"image_id": None} for row in made], "lacks its image"),
        (lambda made: [row | {"blind": None} for row in made], "lacks its image, truth or blind"),
    ],
)
def test_what_cannot_be_compared(write, changed, said):
    with pytest.raises(InputError, match=said) as caught:
        verdicts.compare(write("1.e", 0.5), write("1.f", 0.5, predictions=changed(rows(0.5))))
    assert "1.f" in str(caught.value) and "\n" not in str(caught.value)


def test_seeds_on_other_questions_are_no_experiment_and_are_left_out(write, caplog):
    runs = [write("1.e", 0.5, 0), write("1.e", 0.5, 1, predictions=rows(0.5)[3:])]
    with pytest.raises(InputError, match="seeds are compared on one split"):
        verdicts.read_answers(runs)
    assert [one.name for one, _ in verdicts.readable([*runs, write("1.f", 0.5)])] == ["1.f"]
    assert "1.e on demo is left out" in caplog.text
    with pytest.raises(InputError, match="seeds are compared on one split"):  # nothing is left
        verdicts.readable(runs)


def test_a_verdict_is_one_line(write):
    good, equal, poor = (write(n, s) for n, s in (("1.e", 0.7), ("1.f", 0.34), ("1.b", 0.1)))
    assert verdicts.verdict(good).startswith("1.e is better than the best blind guess: +")
    assert verdicts.verdict(equal).startswith("1.f cannot be told from the best blind guess: ")
    assert verdicts.verdict(poor, good).startswith("1.b is worse than 1.e: -")
    other = write("1.e", 0.4, dataset="other")
    assert verdicts.verdict(good, other).startswith("1.e on demo is better than 1.e on other: +")


def test_two_of_one_name_are_told_apart(write):
    longer, shorter = write("1.e", 0.7, 0, epochs=9), write("1.e", 0.4, 1, epochs=3)
    found = verdicts.compare(longer, shorter)
    assert (found["first"], found["second"]) == ("1.e epochs=9", "1.e epochs=3")
    assert verdicts.verdict(longer, shorter).startswith("1.e epochs=9 is better than 1.e epochs=3:")


def test_a_row_a_pair(experiment):
    found = [experiment("1.e", (0.7, 0.6)), experiment("1.f", (0.4,)), experiment("1.b", (0.4,))]
    table = verdicts.pair_table(combinations(found, 2))
    assert table[["first", "second"]].to_numpy().tolist() == [
        ["1.e", "1.f"], ["1.e", "1.b"], ["1.f", "1.b"],
    ]  # fmt: skip
    assert table["verdict"].tolist() == ["better", "better", "cannot tell"]
    assert str(table["top-1 points"][0]).startswith("+") and set(table["questions"]) == {300}


def test_findings_are_verdicts_on_blind_on_the_best_and_on_single_pieces(experiment):
    vgg, resnet = {"vision": "vgg16", "fusion": "product"}, {"vision": "resnet18"}
    found = [
        experiment("A", (0.5,), model=vgg),
        experiment("B", (0.8,), model=vgg | resnet),
        experiment("C", (0.3,), model=resnet | {"fusion": "sum"}),
        experiment("D", (0.4,), dataset="other"),
    ]
    table = verdicts.findings(found)
    cells = table[["dataset", "about", "first", "second"]].to_numpy().tolist()
    blind = "the best blind guess"
    assert cells == [
        ["demo", "blind", "B", blind], ["demo", "blind", "A", blind], ["demo", "blind", "C", blind],
        ["demo", "vision", "B", "A"], ["demo", "fusion", "B", "C"], ["other", "blind", "D", blind],
    ]  # fmt: skip
    assert table["finding"][3].startswith("B is better than A: +")
    assert verdicts.findings([]).empty


def test_what_was_taught_otherwise_is_no_difference_of_one_piece(experiment):
    one = experiment("A", (0.5,), model={"vision": "vgg16"})
    other = experiment("B", (0.6,), model={"vision": "resnet18"})
    assert verdicts.changed_piece(one, other) == "vision"
    other.runs[0].config["training"] = {"learning_rate": 0.5}
    assert verdicts.changed_piece(one, other) is None
    assert verdicts.findings([one, other])["about"].tolist() == ["blind", "blind", "best"]


def test_pairs_are_called_by_what_tells_all_of_them_apart(write):
    found = [verdicts.as_one(write("1.e", 0.5, seed)) for seed in range(3)]
    table = verdicts.pair_table(combinations(found, 2))
    assert table["first"].tolist() == ["1.e seed=0", "1.e seed=0", "1.e seed=1"]
    assert table["second"].tolist() == ["1.e seed=1", "1.e seed=2", "1.e seed=2"]
