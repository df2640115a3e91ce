"""The loop: losses worked by hand, the schedule, a step cut in parts, what learns, exact resume."""

import dataclasses
import math

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.testing import assert_close

from vqa_helpers.data.vocabulary import WordVocabulary
from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import Product
from vqa_helpers.pieces.language import WordLSTM
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.recipe import LOSSES, Training
from vqa_helpers.training import loop
from vqa_helpers.training.batches import Batches, Examples
from vqa_helpers.training.loop import Epoch, Trainer, evaluate, rank
from vqa_helpers.training.losses import Loss, SoftScores

TRAINING = Training("adam", 0.1, batch=3, epochs=5)
PLAIN = Loss("cross entropy")
THREE = [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]]


class Table(nn.Module):
    """Logits that are looked up: (question id) to a row of a table that learns; it remembers what
    it was shown."""

    def __init__(self, logits: list[list[float]], dropout: float = 0.0) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.dropout = nn.Dropout(dropout)
        self.shown: list[tuple[bool, torch.Tensor | None]] = []

    saved_state = nn.Module.state_dict
    load_saved_state = nn.Module.load_state_dict

    def forward(self, image, question):
        self.shown.append((self.training, image))
        return self.dropout(self.logits)[question[0]]


def batches(ids: list[int], targets: list[int], size: int = 2) -> Batches:
    rows = torch.zeros(len(ids), dtype=torch.int64)
    return Batches(Examples((torch.tensor(ids),), rows, torch.tensor(targets)), None, size)


def trainer(model: nn.Module, training: Training = TRAINING, loss: Loss = PLAIN, **options):
    return Trainer(model, training, loss, Accelerator(cpu=True), **options)


def fit(made: Trainer, train: Batches, validation: Batches, epochs: int) -> list[Epoch]:
    return [made.run_epoch(train, validation, epochs) for _ in range(epochs - made.epoch)]


def nats(*logits: float) -> float:
    """The loss of choosing the first of some logits."""
    return -math.log(math.exp(logits[0]) / sum(math.exp(x) for x in logits))


# Losses and accuracies ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_loss_worked_by_hand_whatever_the_batches(size):
    data = batches([0, 1, 2], [0, 2, 2], size)
    each = nats(2, 0, 0), nats(0, 0, 1), nats(3, 0, 0)
    loss, predictions = evaluate(Table(THREE), data, PLAIN)
    assert loss == pytest.approx(sum(each) / 3, rel=1e-6)
    assert predictions.tolist() == [0, 1, 2]
    weighted = Loss("weighted cross entropy", torch.tensor([1.0, 2.0, 5.0]))
    loss, _ = evaluate(Table(THREE), data, weighted)
    assert loss == pytest.approx((each[0] + 5 * each[1] + 5 * each[2]) / 11, rel=1e-6)


def test_unknown_answers_leave_the_loss_but_not_the_accuracy():
    validation = batches([0, 1, 2], [0, -1, -1])
    assert evaluate(Table(THREE), validation, PLAIN)[0] == pytest.approx(nats(2, 0, 0), rel=1e-6)
    [epoch] = fit(trainer(Table(THREE)), batches([1], [1]), validation, 1)
    assert epoch.validation_top1 == pytest.approx(100 / 3)
    assert epoch.validation_vqa is None  # without a score
    loss, predictions = evaluate(Table(THREE), batches([0, 1], [-1, -1]), PLAIN)
    assert math.isnan(loss) and len(predictions) == 2


def test_an_epoch_tells_of_train_on_the_way_and_of_validation_in_the_order_of_the_table():
    seen, model = [], Table(THREE)
    made = trainer(model, score=lambda found: seen.append(found.tolist()) or 12.5)
    [epoch] = fit(made, batches([0, 1], [0, 2]), batches([2, 0, 1, 2, 0], [0] * 5), 1)
    assert epoch.train_loss == pytest.approx((nats(2, 0, 0) + nats(0, 0, 1)) / 2, rel=1e-6)
    assert epoch.train_top1 == 50.0
    assert seen == [[2, 0, 1, 2, 0]] and epoch.validation_vqa == 12.5
    assert [training for training, _ in model.shown] == [True, *[False] * 3]


def test_rank_gives_the_most_probable_first():
    model = Table([[0.0, 3.0, 1.0, 2.0, -1.0, 5.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]], dropout=0.9)
    ids, probabilities = rank(model, batches([0, 1, 0], [-1, -1, -1]))
    assert ids.tolist() == [[5, 1, 3, 2, 0], [0, 1, 2, 3, 4], [5, 1, 3, 2, 0]]
    expected = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.0]).exp()
    assert_close(probabilities[0], expected / (expected.sum() + math.exp(-1)))
    ids, probabilities = rank(Table([[0.5]]), batches([0, 0], [0, -1]))  # what there is
    assert (ids.tolist(), probabilities.tolist()) == ([[0], [0]], [[1.0], [1.0]])
    # Sigmoids need not sum to one.
    ids, found = rank(Table([[1.0, 3.0, -2.0]]), batches([0], [0]), "binary cross entropy")
    assert ids.tolist() == [[1, 0, 2]]
    assert_close(found, torch.tensor([[3.0, 1.0, -2.0]]).sigmoid())


# The schedule -------------------------------------------------------------------------------------


def test_the_learning_rate_falls_after_every_step_too_and_goes_on_falling_when_resumed():
    training = Training("rmsprop", 0.1, batch=2, epochs=4, decay=0.5, decay_every=2, step_decay=0.9)
    train, validation = batches([0, 1, 2, 0], [0, 1, 2, 0]), batches([0], [0])  # two steps
    made = trainer(Table(THREE), training)
    rates = [epoch.learning_rate for epoch in fit(made, train, validation, 2)]
    assert made.training.optimiser == type(made.optimiser).__name__.lower() == "rmsprop"
    again = trainer(Table(THREE), training)
    again.restore(made.state())
    rates += [epoch.learning_rate for epoch in fit(again, train, validation, 4)]
    assert rates == pytest.approx([0.1, 0.1 * 0.9**2, 0.1 * 0.9**4 * 0.5, 0.1 * 0.9**6 * 0.5])


def test_gradients_are_clamped_where_that_is_asked():
    def gradient(clamp):
        model = Table(THREE)
        training = Training("adam", 0.1, batch=3, epochs=1, clamp=clamp)
        fit(trainer(model, training), batches([0, 1, 2], [1, 1, 1], 3), batches([0], [0]), 1)
        return model.logits.grad

    free = gradient(None)
    assert free.abs().max() > 0.1 > free.abs().min()
    assert_close(gradient(0.1), free.clamp(-0.1, 0.1))


# A model of four pieces ---------------------------------------------------------------------------

WORDS = WordVocabulary(("<pad>", "<unknown>", *(f"word{i}" for i in range(28))))
ANSWERS, QUESTIONS = 7, 50


class Vision(nn.Module):
    """A frozen layer, and one that learns."""

    out_dim = 8

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(12, 12).requires_grad_(False)
        self.last = nn.Linear(12, 8)

    def forward(self, image):
        return self.last(self.frozen(image.float()))


def puzzle() -> VQAModel:
    torch.manual_seed(3)
    language = WordLSTM(WORDS, 6, 5)
    fusion = Product(8, language.out_dim, 9, normalise=True)
    return VQAModel(Vision(), language, fusion, Funnel(9, (8,), ANSWERS))


def questions(size: int = 8) -> Batches:
    chance = torch.Generator().manual_seed(5)
    lengths = torch.randint(1, 7, (QUESTIONS,), generator=chance)
    tokens = torch.randint(2, 30, (QUESTIONS, 6), generator=chance)
    tokens[torch.arange(6) >= lengths[:, None]] = 0
    rows = torch.randint(0, 4, (QUESTIONS,), generator=chance)
    target = torch.randint(-1, ANSWERS, (QUESTIONS,), generator=chance)  # -1 teaches nothing
    ids = torch.stack([torch.randperm(ANSWERS, generator=chance)[:3] for _ in range(QUESTIONS)])
    soft = SoftScores(ids.int(), torch.rand(QUESTIONS, 3, generator=chance).round(decimals=1))
    soft.scores[:4] = 0
    images = torch.randn(4, 12, generator=chance).half()
    return Batches(Examples((tokens, lengths), rows, target, soft), images, size)


def apart(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


@pytest.mark.parametrize("name", LOSSES)
def test_parts_give_the_step_of_the_undivided_batch(name, monkeypatch):
    # Stepping by the gradient itself, so that the parameters tell the gradients apart.
    monkeypatch.setitem(loop.OPTIMISERS, "adam", torch.optim.SGD)
    loss = Loss(name, torch.linspace(0.5, 9, ANSWERS))
    found = []
    for accumulate in (1, 2, 7):
        model = puzzle()
        made = trainer(model, dataclasses.replace(TRAINING, accumulate=accumulate), loss)
        [epoch] = fit(made, questions(25), questions(25), 1)
        found.append((model, epoch))
    for model, epoch in found[1:]:
        assert apart(model, found[0][0]) < 1e-6
        assert epoch.train_loss == pytest.approx(found[0][1].train_loss, rel=1e-5)
        assert epoch.train_top1 == found[0][1].train_top1
    assert apart(found[0][0], puzzle()) > 1e-3


def test_vision_has_its_own_rate_and_what_is_frozen_none():
    model = puzzle()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    training = dataclasses.replace(
        TRAINING, optimiser="adamw", batch=50, vision_rate=0.001, decay=0.5
    )
    made = trainer(model, training)
    fit(made, questions(50), questions(50), 1)
    assert [group["lr"] for group in made.optimiser.param_groups] == [0.05, 0.0005]
    moved = {name: (before[name] - p).abs().max() for name, p in model.named_parameters()}
    assert moved["vision.frozen.weight"] == moved["vision.frozen.bias"] == 0  # nor does it decay
    # Adam's first step is as long as the rate, and AdamW's hundredth is the decay of weights.
    assert 0.0005 < moved["vision.last.weight"] < 0.0015
    assert 0.05 < moved["classifier.layers.0.weight"] < 0.15


def test_half_floats_are_near_and_leave_weights_as_they_are():
    models = []
    for precision in ("float32", "bfloat16"):
        models.append(puzzle())
        training = dataclasses.replace(TRAINING, learning_rate=1e-3, precision=precision)
        fit(trainer(models[-1], training), questions(), questions(), 1)
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in models[1].classifier.parameters())
    assert 0 < apart(*models) < 0.02


# Augmentation -------------------------------------------------------------------------------------


def shown(epochs: int, size: int, seed: int = 0) -> list[dict[bool, torch.Tensor]]:
    """What was seen of each question, by epoch, in training and in validation."""
    data = batches([0, 1, 2], [0, 1, 2], size)
    pixels = torch.arange(2 * 3 * 8 * 8).view(2, 3, 8, 8).remainder(256).to(torch.uint8)
    data.examples.image_row, data.images = torch.tensor([1, 0, 1]), pixels
    model, order = Table(THREE), torch.Generator().manual_seed(seed)
    made = trainer(model, dataclasses.replace(TRAINING, flip=True, crop=0.5, jitter=0.4), seed=seed)
    seen = []
    for _ in range(epochs):
        made.run_epoch(data, data, epochs)
        train = torch.cat([image for training, image in model.shown if training])
        held_out = torch.cat([image for training, image in model.shown if not training])
        rows = torch.cat([batch.rows for batch in data.shuffled(order)])
        seen.append({True: train[rows.argsort()], False: held_out})
        model.shown.clear()
    plain = pixels[[1, 0, 1]]
    assert all(torch.equal(epoch[False], plain) for epoch in seen)  # in training alone
    assert not any(torch.equal(a, b) for e in seen for a, b in zip(e[True], plain, strict=True))
    return seen


def test_seed_epoch_and_question_vary_a_photograph_whatever_the_batches():
    first, second = shown(2, size=3)
    assert not torch.equal(first[True], second[True])
    assert not torch.equal(first[True][0], first[True][2])  # one photograph, two questions
    assert not torch.equal(shown(1, size=3, seed=1)[0][True], first[True])
    for left, right in zip(shown(2, size=1), (first, second), strict=True):
        assert_close(left[True], right[True], atol=1e-3, rtol=0)


# Resume -------------------------------------------------------------------------------------------


def made() -> tuple[Trainer, Batches]:
    torch.manual_seed(9)
    model = Table(torch.randn(30, 4).tolist(), dropout=0.5)
    training = Training("adamw", 0.05, batch=4, epochs=6, decay=0.5, decay_every=2)
    data = batches(list(range(30)), [i % 4 for i in range(30)], 4)
    return trainer(model, training), data


def facts(epoch: Epoch) -> Epoch:
    return dataclasses.replace(epoch, train_s=0)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_fit_is_the_uninterrupted_one_bit_for_bit(tmp_path, stop):
    complete, data = made()
    expected = [facts(epoch) for epoch in fit(complete, data, data, 6)]
    first, data = made()
    got = [facts(first.run_epoch(data, data, 6)) for _ in range(stop)]
    torch.save(first.state(), tmp_path / "state")
    second, data = made()
    torch.rand(77)  # another process knows nothing of the first one's random numbers
    second.restore(torch.load(tmp_path / "state", weights_only=True))
    got += [facts(epoch) for epoch in fit(second, data, data, 6)]
    assert got == expected
    assert torch.equal(second.model.logits, complete.model.logits)
