"""A step cut in parts: the gradient of the whole batch, for every loss."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vqa_helpers.model.config import LOSSES
from vqa_helpers.training.batches import Batch, Batches, FeatureRows, QuestionTensors
from vqa_helpers.training.losses import LossFunction, SoftScores, loss_function
from vqa_helpers.training.step import SharedStep, Step, make_step

ANSWERS = 6


class Sees(nn.Module):
    """Image and sentence vectors to logits."""

    def __init__(self, batch_norm: bool = False) -> None:
        super().__init__()
        self.seen: list[int] = []
        norm = [nn.BatchNorm1d(16)] if batch_norm else []
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), *norm, nn.Linear(16, ANSWERS))

    def forward(self, image, question, lengths):
        self.seen.append(len(image))
        return self.layers(torch.cat([image.float(), question], 1))


def batch(questions: int = 30) -> Batch:
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(-1, ANSWERS, (questions,), generator=generator)  # -1 teaches nothing
    ids = torch.stack([torch.randperm(ANSWERS, generator=generator)[:3] for _ in range(questions)])
    soft = SoftScores(ids.int(), torch.rand(questions, 3, generator=generator).round(decimals=1))
    soft.scores[:4] = 0
    tensors = QuestionTensors(
        torch.randn(questions, 4, generator=generator), None,
        torch.arange(questions), target, soft,
    )  # fmt: skip
    images = FeatureRows(torch.randn(questions, 4, generator=generator).half())
    return next(Batches(tensors, images, questions).in_order())


def loss_of(name: str):
    return loss_function(name, torch.linspace(0.5, 9, ANSWERS))


def add_gradients(
    model: nn.Module, batch: Batch, loss: LossFunction, pieces: int = 1
) -> torch.Tensor:
    """Leave the gradients of a step in the model; what it counted, (3,)."""
    step = make_step(model, loss, torch.device("cpu"), "float32", False, pieces)
    assert type(step) is (Step if pieces == 1 else SharedStep)
    step(batch)
    return step.counts


def gradients(model: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_give_the_gradient_of_the_whole(name, parts):
    torch.manual_seed(0)
    whole = Sees()
    cut = copy.deepcopy(whole)
    sums = add_gradients(whole, batch(), loss_of(name))
    cut_sums = add_gradients(cut, batch(), loss_of(name), parts)
    assert whole.seen == [30] and len(cut.seen) == parts and sum(cut.seen) == 30
    assert max(cut.seen) - min(cut.seen) <= 1
    assert_close(cut_sums, sums, rtol=1e-6, atol=1e-6)
    assert max(gradient.abs().max() for gradient in gradients(whole)) > 1e-2
    for found, expected in zip(gradients(cut), gradients(whole), strict=True):
        assert_close(found, expected, rtol=0, atol=1e-6)


def test_the_gradient_is_of_the_weighted_mean():
    torch.manual_seed(0)
    model = Sees()
    given = batch()
    logits = model(given.image, given.question, None)
    weights = torch.linspace(0.5, 9, ANSWERS)
    # PyTorch's own weighted mean is over the sum of weights too.
    expected = torch.autograd.grad(
        nn.functional.cross_entropy(logits, given.target, weights, ignore_index=-1),
        list(model.parameters()),
    )
    add_gradients(model, given, loss_of("weighted cross entropy"), 4)
    for found, wanted in zip(gradients(model), expected, strict=True):
        assert_close(found, wanted, rtol=0, atol=1e-6)


def test_a_part_has_two_questions_at_least():
    # Batch normalisation cannot learn from one row.
    model = Sees(batch_norm=True).train()
    add_gradients(model, batch(5), loss_of("cross entropy"), 8)
    assert sorted(model.seen) == [2, 3]
    model = Sees(batch_norm=True).train()
    add_gradients(model, batch(3), loss_of("cross entropy"), 8)
    assert model.seen == [3]


def test_batch_normalisation_sees_a_part_at_a_time():
    torch.manual_seed(0)
    whole = Sees(batch_norm=True).train()
    cut = copy.deepcopy(whole)
    add_gradients(whole, batch(), loss_of("cross entropy"))
    add_gradients(cut, batch(), loss_of("cross entropy"), 2)
    differences = zip(gradients(cut), gradients(whole), strict=True)
    assert max((a - b).abs().max() for a, b in differences) > 1e-4


def test_the_sums_are_of_the_batch():
    model, given = Sees(), batch()
    losses, weights, hits = add_gradients(model, given, loss_of("cross entropy"), 3).tolist()
    logits = model(given.image, given.question, None)
    known = given.target >= 0
    assert weights == int(known.sum()) < 30
    expected = nn.functional.cross_entropy(logits[known], given.target[known], reduction="sum")
    assert losses == pytest.approx(expected.item(), rel=1e-5)
    assert hits == int((logits.argmax(1) == given.target).sum())
