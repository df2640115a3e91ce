"""The loop: losses worked by hand, the schedule, what counts as right, exact resume."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vqa_helpers.model.config import Augmentation, Schedule
from vqa_helpers.training.batches import Batches, FeatureRows, QuestionTensors
from vqa_helpers.training.loop import Trainer, evaluate, rank
from vqa_helpers.training.losses import SoftScores, loss_function

SCHEDULE = Schedule("study", "adam", 0.1, batch=3, epochs=5)


class Table(nn.Module):
    """Logits that are looked up: (question id) to a row of a table that learns."""

    def __init__(self, logits: list[list[float]], dropout: float = 0.0) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.dropout = nn.Dropout(dropout)
        self.was_training: list[bool] = []

    saved_state = nn.Module.state_dict
    load_saved_state = nn.Module.load_state_dict

    def forward(self, image, question, lengths):
        self.was_training.append(self.training)
        return self.dropout(self.logits)[question[:, 0].long()]


def batches(ids: list[int], targets: list[int], size: int = 2) -> Batches:
    question = torch.tensor(ids).view(-1, 1)
    lengths = torch.ones(len(ids), dtype=torch.int64)
    rows = torch.zeros(len(ids), dtype=torch.int64)
    return Batches(QuestionTensors(question, lengths, rows, torch.tensor(targets)), None, size)


def nats(*logits: float) -> float:
    """The loss of choosing the first of some logits."""
    return -math.log(math.exp(logits[0]) / sum(math.exp(x) for x in logits))


THREE = [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]]


def test_the_loss_worked_by_hand():
    # Three questions in batches of two and one: every question weighs the same.
    loss, predictions, hits = evaluate(Table(THREE), batches([0, 1, 2], [0, 2, 2]))
    expected = (nats(2, 0, 0) + nats(0, 0, 1) + nats(3, 0, 0)) / 3
    assert loss == pytest.approx(expected, rel=1e-6)
    assert predictions.tolist() == [0, 1, 2]
    assert hits == 2


def test_unknown_answers_leave_the_loss_but_not_the_accuracy():
    loss, predictions, hits = evaluate(Table(THREE), batches([0, 1, 2], [0, -1, -1]))
    assert loss == pytest.approx(nats(2, 0, 0), rel=1e-6)
    assert (len(predictions), hits) == (3, 1)
    trainer = Trainer(Table(THREE), SCHEDULE, 0)
    epoch = next(trainer.fit(batches([0], [0]), batches([0, 1, 2], [0, -1, -1]), 1))
    assert epoch.validation_top1 == pytest.approx(100 / 3)


def test_a_loss_without_any_known_answer_is_not_a_number():
    loss, _, hits = evaluate(Table(THREE), batches([0, 1], [-1, -1]))
    assert math.isnan(loss)
    assert hits == 0


def test_training_loss_and_accuracy_are_those_on_the_way():
    model = Table(THREE)
    trainer = Trainer(model, SCHEDULE, 0)
    epoch = next(trainer.fit(batches([0, 1], [0, 2], size=2), batches([0], [0]), 1))
    assert epoch.train_loss == pytest.approx((nats(2, 0, 0) + nats(0, 0, 1)) / 2, rel=1e-6)
    assert epoch.train_top1 == 50.0


@pytest.mark.parametrize(("optimiser", "shrink"), [("adam", 1.0), ("adamw", 1 - 0.1 * 0.01)])
def test_the_first_step_of_the_optimiser(optimiser, shrink):
    # Adam's first step is the learning rate against the gradient's sign; AdamW decays first.
    model = Table([[1.0, -1.0]])
    trainer = Trainer(model, Schedule("study", optimiser, 0.1, batch=2, epochs=1), 0)
    next(trainer.fit(batches([0, 0], [1, 1]), batches([0], [0]), 1))
    expected = torch.tensor([[1.0 * shrink - 0.1, -1.0 * shrink + 0.1]])
    assert_close(model.logits.detach(), expected, atol=1e-5, rtol=0)
    assert model.frozen.item() == 1.0


def test_the_learning_rate_falls_as_the_schedule_says():
    schedule = Schedule(
        "study", "adam", 1e-3 / 0.95**3, batch=2, epochs=45, decay=0.95, decay_every=10
    )
    trainer = Trainer(Table(THREE), schedule, 0)
    rates = [e.learning_rate for e in trainer.fit(batches([0, 1], [0, 1]), batches([0], [0]), 45)]
    expected = [1e-3 / 0.95**3 * 0.95 ** (epoch // 10) for epoch in range(45)]
    assert rates == pytest.approx(expected)
    assert rates[30] == pytest.approx(1e-3)  # which three decays bring it to


def test_without_decay_the_rate_stays():
    trainer = Trainer(Table(THREE), SCHEDULE, 0)
    rates = [e.learning_rate for e in trainer.fit(batches([0], [0]), batches([0], [0]), 3)]
    assert rates == [0.1] * 3


def test_epochs_are_numbered_from_one_and_end():
    trainer = Trainer(Table(THREE), SCHEDULE, 0)
    numbers = [e.epoch for e in trainer.fit(batches([0, 1], [0, 1]), batches([0], [0]), 3)]
    assert numbers == [1, 2, 3]
    assert list(trainer.fit(batches([0], [0]), batches([0], [0]), 3)) == []


def test_the_score_sees_predictions_in_the_order_of_the_table():
    seen = []

    def score(predictions):
        seen.append(predictions.tolist())
        return 12.5

    trainer = Trainer(Table(THREE), Schedule("s", "adam", 1e-9, 2, 1), 0)
    epoch = next(trainer.fit(batches([0], [0]), batches([2, 0, 1, 2, 0], [0] * 5), 1, score))
    assert seen == [[2, 0, 1, 2, 0]]
    assert epoch.validation_vqa == 12.5


def test_no_score_is_none():
    trainer = Trainer(Table(THREE), SCHEDULE, 0)
    assert next(trainer.fit(batches([0], [0]), batches([0], [0]), 1)).validation_vqa is None


def test_training_trains_and_evaluation_evaluates():
    model = Table(THREE)
    trainer = Trainer(model, SCHEDULE, 0)
    list(trainer.fit(batches([0, 1], [0, 1]), batches([0, 1, 2], [0, 1, 2]), 2))
    assert model.was_training == [True, False, False] * 2


def test_it_learns():
    trainer = Trainer(Table([[0.0] * 3 for _ in range(3)]), SCHEDULE, 0)
    data = batches([0, 1, 2], [2, 0, 1])
    epochs = list(trainer.fit(data, data, 20))
    assert epochs[-1].validation_top1 == 100.0
    assert epochs[-1].train_loss < epochs[0].train_loss


# Augmentation -----------------------------------------------------------------------------------


class Watches(Table):
    """Remembers the pixels it was shown."""

    def __init__(self) -> None:
        super().__init__(THREE)
        self.shown: list[tuple[bool, torch.Tensor]] = []

    def forward(self, image, question, lengths):
        self.shown.append((self.training, image.float()))
        return super().forward(image, question, lengths)


def pictures(size: int) -> Batches:
    made = batches([0, 1, 2], [0, 1, 2], size)
    pixels = torch.arange(2 * 3 * 8 * 8).view(2, 3, 8, 8).remainder(256).to(torch.uint8)
    made.image_row = torch.tensor([1, 0, 1])
    made.images = FeatureRows(pixels)
    return made


def shown(epochs: int, size: int, seed: int = 0) -> list[dict[bool, torch.Tensor]]:
    """What was seen of each question, by epoch, in training and in validation."""
    how = Augmentation(crop=0.5, jitter=0.4)
    schedule = dataclasses.replace(SCHEDULE, augmentation=how)
    model, data = Watches(), pictures(size)
    trainer = Trainer(model, schedule, seed)
    seen = []
    for _ in trainer.fit(data, data, epochs):
        order = [batch.rows for batch in data.shuffled(generator_of(trainer, len(seen), data))]
        train = torch.cat([image for training, image in model.shown if training])
        held_out = torch.cat([image for training, image in model.shown if not training])
        seen.append({True: train[torch.cat(order).argsort()], False: held_out})
        model.shown.clear()
    return seen


def generator_of(trainer: Trainer, epoch: int, data: Batches) -> torch.Generator:
    """The shuffling as it was before that epoch."""
    generator = torch.Generator().manual_seed(trainer.seed)
    for _ in range(epoch):
        torch.randperm(len(data), generator=generator)
    return generator


def test_photographs_are_varied_in_training_alone():
    first, second = shown(2, size=2)
    plain = torch.cat([batch.image for batch in pictures(2).in_order()]).float()
    assert torch.equal(first[False], plain) and torch.equal(second[False], plain)
    for seen in (first[True], second[True]):
        assert not any(torch.equal(a, b) for a, b in zip(seen, plain, strict=True))
    assert not torch.equal(first[True], second[True])  # another epoch, other crops
    assert not torch.equal(first[True][0], first[True][2])  # one photograph, two questions


def test_seed_epoch_and_question_decide_whatever_the_batches():
    for left, right in zip(shown(2, size=1), shown(2, size=3), strict=True):
        assert_close(left[True], right[True], atol=1e-3, rtol=0)
    assert not torch.equal(shown(1, size=3, seed=1)[0][True], shown(1, size=3)[0][True])


# Resume ---------------------------------------------------------------------------------------


def made(seed: int = 0) -> tuple[Trainer, Batches]:
    torch.manual_seed(9)
    model = Table(torch.randn(30, 4).tolist(), dropout=0.5)
    schedule = Schedule("study", "adamw", 0.05, batch=4, epochs=6, decay=0.5, decay_every=2)
    return Trainer(model, schedule, seed), batches(list(range(30)), [i % 4 for i in range(30)], 4)


def facts(epoch) -> tuple:
    return epoch.epoch, epoch.train_loss, epoch.validation_loss, epoch.learning_rate


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_resumed_fit_is_the_uninterrupted_one_bit_for_bit(tmp_path, stop):
    whole, data = made()
    expected = [facts(epoch) for epoch in whole.fit(data, data, 6)]
    first, data = made()
    begun = first.fit(data, data, 6)
    got = [facts(next(begun)) for _ in range(stop)]
    torch.save(first.state(), tmp_path / "state")
    torch.manual_seed(12345)  # another process knows nothing of the first one's random numbers
    second, data = made()
    torch.rand(77)
    second.restore(torch.load(tmp_path / "state", weights_only=True))
    got += [facts(epoch) for epoch in second.fit(data, data, 6)]
    assert got == expected
    assert torch.equal(second.model.logits, whole.model.logits)


def test_seeds_differ_and_repeat():
    runs = []
    for seed in (0, 0, 1):
        trainer, data = made(seed)
        torch.rand(seed + len(runs))  # whatever was drawn since must not matter
        runs.append([facts(epoch) for epoch in trainer.fit(data, data, 2)])
    assert runs[0] != runs[2]


def test_what_is_drawn_between_building_and_training_does_not_matter():
    results = []
    for drawn in (0, 50):
        torch.manual_seed(4)
        torch.rand(drawn)
        model = Table([[0.1 * i, 0.2, -0.1 * i] for i in range(12)], dropout=0.5)
        trainer = Trainer(model, SCHEDULE, seed=3)
        data = batches(list(range(12)), [i % 3 for i in range(12)])
        results.append([facts(epoch) for epoch in trainer.fit(data, data, 2)])
    assert results[0] == results[1]


# Ranking --------------------------------------------------------------------------------------


def test_rank_gives_the_most_probable_first():
    model = Table([[0.0, 3.0, 1.0, 2.0, -1.0, 5.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]], dropout=0.9)
    ids, probabilities = rank(model, batches([0, 1, 0], [-1, -1, -1]))
    assert ids.tolist() == [[5, 1, 3, 2, 0], [0, 1, 2, 3, 4], [5, 1, 3, 2, 0]]
    expected = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.0]).exp()
    expected /= expected.sum() + math.exp(-1)
    assert_close(probabilities[0], expected)


def test_rank_of_a_small_vocabulary_gives_what_there_is():
    ids, probabilities = rank(Table([[0.5]]), batches([0, 0], [0, -1]))
    assert ids.tolist() == [[0], [0]]
    assert probabilities.tolist() == [[1.0], [1.0]]


# Losses ---------------------------------------------------------------------------------------


def softly(ids: list[int], targets: list[int], soft: list[list[float]], size: int = 2) -> Batches:
    """Batches whose soft scores are given for every one of three answers."""
    made = batches(ids, targets, size)
    made.soft = SoftScores(torch.arange(3).repeat(len(ids), 1), torch.tensor(soft))
    return made


def test_a_weighted_loss_is_over_the_sum_of_weights_whatever_the_batches():
    loss = loss_function("weighted cross entropy", torch.tensor([1.0, 2.0, 5.0]))
    expected = (nats(2, 0, 0) + 5 * nats(0, 0, 1) + 5 * nats(3, 0, 0)) / 11
    for size in (1, 2, 3):
        found, _, hits = evaluate(Table(THREE), batches([0, 1, 2], [0, 2, 2], size), loss)
        assert found == pytest.approx(expected, rel=1e-6)
        assert hits == 2
    frozen = Schedule("s", "adam", 0.0, batch=2, epochs=1)
    trainer = Trainer(Table(THREE), frozen, 0, loss)
    data = batches([0, 1, 2], [0, 2, 2])
    epoch = next(trainer.fit(data, data, 1))
    assert epoch.train_loss == pytest.approx(expected, rel=1e-6) == epoch.validation_loss


def test_questions_without_any_soft_score_leave_the_loss():
    loss = loss_function("binary cross entropy")
    data = softly([0, 1, 2], [0, -1, -1], [[1, 0, 0.3], [0, 0, 0], [0.6, 0, 0]])
    found, predictions, hits = evaluate(Table(THREE), data, loss)

    def by_hand(logits, truths):
        pairs = zip(logits, truths, strict=True)
        return sum(math.log1p(math.exp(x)) - t * x for x, t in pairs)

    expected = (by_hand(THREE[0], [1, 0, 0.3]) + by_hand(THREE[2], [0.6, 0, 0])) / 2
    assert found == pytest.approx(expected, rel=1e-6)
    assert (len(predictions), hits) == (3, 1)


@pytest.mark.parametrize("name", ["soft cross entropy", "binary cross entropy"])
def test_it_learns_what_most_annotators_say(name):
    # The targets say 0; the soft scores, which alone are learnt, say 2.
    model = Table([[0.0] * 3 for _ in range(3)])
    data = softly([0, 1, 2], [0, 0, 0], [[0.3, 0, 0.9]] * 3)
    epochs = list(Trainer(model, SCHEDULE, 0, loss_function(name)).fit(data, data, 60))
    assert epochs[-1].train_loss < epochs[0].train_loss
    expected = [0.3, 0, 0.9] if name == "binary cross entropy" else [0.25, 0, 0.75]
    _, found = rank(model, data, most=3, loss=name)
    assert_close(found[0], torch.tensor(sorted(expected, reverse=True)), atol=0.05, rtol=0)


def test_sigmoids_are_ranked_and_need_not_sum_to_one():
    logits = [[1.0, 3.0, -2.0]]
    ids, found = rank(Table(logits), batches([0], [0]), loss="binary cross entropy")
    assert ids.tolist() == [[1, 0, 2]]
    assert_close(found, torch.tensor([[3.0, 1.0, -2.0]]).sigmoid())
