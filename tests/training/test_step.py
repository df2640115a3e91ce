"""A step: a plain loop's parameters, half floats only where asked, and what a GPU replays."""

import dataclasses
import logging

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy as torch_cross_entropy
from torch.testing import assert_close

from vqa_helpers.model.config import Classifier, Glove, Images, Product, Schedule, Words
from vqa_helpers.model.vqa import build_model
from vqa_helpers.training.batches import Batch, Batches, FeatureRows, QuestionTensors
from vqa_helpers.training.loop import Trainer
from vqa_helpers.training.losses import cross_entropy
from vqa_helpers.training.step import CapturedStep, Step, make_step, resolve_precision

CPU = torch.device("cpu")
WORDS, ANSWERS, QUESTIONS, SIZE = 30, 7, 50, 8
PIECES = {
    "improved": Words(words=6, hidden=5),
    "original": Words(words=6, hidden=5, embedding_tanh=True, carry_state=True),
    "glove": Glove(dim=6, hidden=5),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(3)
    pieces = dict(
        images=Images("resnet18"),
        questions=PIECES[name],
        fusion=Product(9, normalise=True),
        classifier=Classifier((8,), batch_norm=True),
    )
    return build_model(
        pieces, answers=ANSWERS, vocabulary_size=WORDS, word_vectors=torch.randn(WORDS, 6)
    )


def split() -> QuestionTensors:
    chance = torch.Generator().manual_seed(5)
    lengths = torch.randint(1, 7, (QUESTIONS,), generator=chance)
    tokens = torch.randint(2, WORDS, (QUESTIONS, 6), generator=chance)
    tokens[torch.arange(6) >= lengths[:, None]] = 0
    rows = torch.randint(0, 4, (QUESTIONS,), generator=chance)
    return QuestionTensors(tokens, lengths, rows, torch.arange(QUESTIONS) % ANSWERS)


FEATURES = torch.randn(4, 512, generator=torch.Generator().manual_seed(6)).half()


def plainly(model: nn.Module, schedule: Schedule, seed: int, epochs: int) -> None:
    """The loop anyone would write, with the same shuffling."""
    data, order = split(), torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    learning = [p for p in model.parameters() if p.requires_grad]
    # Adam's other implementations round otherwise, which it magnifies where gradients are tiny.
    optimiser = torch.optim.Adam(learning, lr=schedule.learning_rate, fused=True)
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(QUESTIONS, generator=order).split(schedule.batch):
            optimiser.zero_grad()
            logits = model(FEATURES[data.image_row[rows]], data.question[rows], data.lengths[rows])
            torch_cross_entropy(logits, data.target[rows]).backward()
            optimiser.step()


@pytest.mark.parametrize("name", PIECES)
def test_our_parameters_are_those_of_a_plain_loop(name):
    schedule = Schedule("s", "adam", 1e-2, batch=SIZE, epochs=3)
    plain, ours = made(name), made(name)
    plainly(plain, schedule, 0, 3)
    data = Batches(split(), FeatureRows(FEATURES), SIZE)
    list(Trainer(ours, schedule, 0, precision="float32").fit(data, data, 3))
    for (which, found), expected in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert_close(found, expected, atol=1e-6, rtol=0, msg=which)
    assert not torch.equal(found, list(made(name).parameters())[-1])


def one_batch() -> Batch:
    return next(Batches(split(), FeatureRows(FEATURES), SIZE).in_order())


def test_a_step_counts_until_it_starts_anew():
    step = Step(made("improved"), cross_entropy, CPU)
    for _ in range(2):
        step(one_batch())
    loss, weight, hits = step.counts.tolist()
    assert weight == 2 * SIZE
    assert loss > 0 and hits == int(hits)
    step.start()
    assert step.counts.tolist() == [0, 0, 0]


def test_gradients_take_the_place_of_others():
    step = Step(made("glove"), cross_entropy, CPU)
    step(one_batch())
    once = [p.grad.clone() for p in step.model.parameters() if p.requires_grad]
    step(one_batch())
    again = [p.grad for p in step.model.parameters() if p.requires_grad]
    assert_close(again, once)


def test_half_floats_are_near_and_leave_weights_and_gradients_whole():
    whole, half = made("improved"), made("improved")
    Step(whole, cross_entropy, CPU)(one_batch())
    Step(half, cross_entropy, CPU, "bfloat16")(one_batch())
    for found, expected in zip(half.parameters(), whole.parameters(), strict=True):
        assert found.dtype == found.grad.dtype == torch.float32
        assert_close(found.grad, expected.grad, atol=0.02, rtol=0.1)
    assert not torch.equal(half.classifier.layers[-1].weight.grad,
                           whole.classifier.layers[-1].weight.grad)  # fmt: skip


def test_auto_is_single_precision_on_a_cpu():
    assert resolve_precision("auto", CPU) == "float32"
    assert resolve_precision("bfloat16", CPU) == "bfloat16"


def test_auto_is_half_on_a_gpu_that_has_it(monkeypatch):
    for has_it, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has_it=has_it, **_: has_it)
        assert resolve_precision("auto", torch.device("cuda")) == expected


def test_a_cpu_captures_nothing():
    assert type(make_step(made("glove"), cross_entropy, CPU, "float32", capture=True)) is Step


def test_a_batch_lists_and_copies_all_its_tensors():
    batch = one_batch()
    copy = batch.clone()
    assert len(batch.tensors()) == len(copy.tensors()) == 4
    for mine, given in zip(copy.tensors(), batch.tensors(), strict=True):
        assert torch.equal(mine, given)
        assert mine.data_ptr() != given.data_ptr()
    without = dataclasses.replace(batch, image=None)
    assert len(without.clone().tensors()) == 3


# A GPU's graph, with a stand-in on the CPU that replays a step by doing it -----------------------


class Recorded(CapturedStep):
    """Captures as the real one does, but does the step again where a GPU would replay it."""

    def __init__(self, model: nn.Module, fails: bool = False) -> None:
        Step.__init__(self, model, cross_entropy, CPU)
        self._prepare()
        self.fails, self.done = fails, []

    def _warm_up(self, batch):
        self.done.append("warm-up")
        Step.__call__(self, batch)

    def _capture(self, batch):
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        self.done.append("capture")
        return batch.clone()

    def _replay(self, captured, batch):
        self.done.append("replay")
        for mine, given in zip(captured.tensors(), batch.tensors(), strict=True):
            mine.copy_(given)
        Step.__call__(self, captured)


def test_a_shape_is_captured_once_and_replayed_from_then_on():
    step, plain = Recorded(made("improved")), Step(made("improved"), cross_entropy, CPU)
    made_batches = list(Batches(split(), FeatureRows(FEATURES), SIZE).in_order())
    wide = [batch for batch in made_batches if batch.question.shape == (SIZE, 6)]
    assert len(wide) >= 5
    for batch in wide:
        step(batch)
        plain(batch)
        for found, expected in zip(step.model.parameters(), plain.model.parameters(), strict=True):
            assert_close(found.grad, expected.grad)
    assert step.done == ["warm-up"] * 2 + ["capture"] + ["replay"] * (len(wide) - 2)
    assert_close(step.counts, plain.counts)
    step(made_batches[-1])  # the short one
    assert step.done[-1] == "warm-up"


def test_what_cannot_be_captured_is_launched_singly_and_said_once(caplog):
    step = Recorded(made("improved"), fails=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            step(one_batch())
    assert [message.count("\n") for message in caplog.messages] == [0]
    assert "not permitted" in caplog.text
    assert step.counts[1] == 5 * SIZE
