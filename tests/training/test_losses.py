"""The four losses: values, gradients in closed form and by differences, and what they begin with."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from vqa_helpers.recipe import LOSSES
from vqa_helpers.training.losses import (
    SOFT_LOSSES,
    Loss,
    SoftScores,
    inverse_frequencies,
    prior_logits,
)

# Five questions about four answers: two that agree with softness, one that nobody knows, one
# whose soft scores lack the target, and one whose target is unknown but not its other answers.
TARGET = torch.tensor([0, 3, -1, 2, -1])
SOFT = SoftScores(
    torch.tensor([[0, 2, 1], [3, 0, 0], [0, 0, 0], [1, 3, 0], [1, 0, 0]], dtype=torch.int32),
    torch.tensor([[1.0, 0.6, 0.3], [0.9, 0, 0], [0, 0, 0], [0.3, 0.3, 0], [0.6, 0, 0]]).double(),
)
DENSE = torch.tensor(
    [[1, 0.3, 0.6, 0], [0, 0, 0, 0.9], [0, 0, 0, 0], [0, 0.3, 0, 0.3], [0, 0.6, 0, 0]]
).double()
WEIGHTS = torch.tensor([1.0, 2.0, 4.0, 0.5]).double()
HARD_WEIGHT = torch.tensor([1, 1, 0, 1, 0]).double()
SOFT_WEIGHT = torch.tensor([1, 1, 0, 1, 1]).double()


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 4, generator=generator, dtype=torch.float64).requires_grad_()


def mean(loss: str, logits: torch.Tensor) -> torch.Tensor:
    loss = Loss(loss, WEIGHTS)
    return loss(logits, TARGET, SOFT).sum() / loss.weights(TARGET, SOFT).sum()


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_is_that_of_pytorch(loss, logits):
    kept = DENSE.sum(1) > 0
    if loss in SOFT_LOSSES:
        shares = DENSE[kept] / DENSE[kept].sum(1, keepdim=True)
        expected = functional.cross_entropy(logits[kept], shares)
        if loss == "binary cross entropy":  # summed over answers
            each = nn.BCEWithLogitsLoss(reduction="none")(logits[kept], DENSE[kept])
            expected = each.sum(1).mean()
    else:  # PyTorch divides by the sum of the weights, not by the number of questions
        weights = WEIGHTS if loss == "weighted cross entropy" else None
        expected = functional.cross_entropy(logits, TARGET, weights, ignore_index=-1)
    assert_close(mean(loss, logits), expected)


# Gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_in_closed_form(loss, logits):
    one_hot = functional.one_hot(TARGET.clamp(min=0), 4).double()
    shares = DENSE / DENSE.sum(1, keepdim=True).clamp(min=1e-9)
    weight = HARD_WEIGHT * WEIGHTS[TARGET]
    expected = {
        "cross entropy": HARD_WEIGHT[:, None] * (logits.softmax(1) - one_hot) / 3,
        "weighted cross entropy": weight[:, None] * (logits.softmax(1) - one_hot) / (1 + 0.5 + 4),
        "soft cross entropy": SOFT_WEIGHT[:, None] * (logits.softmax(1) - shares) / 4,
        "binary cross entropy": SOFT_WEIGHT[:, None] * (logits.sigmoid() - DENSE) / 4,
    }
    [found] = torch.autograd.grad(mean(loss, logits), logits)
    assert_close(found, expected[loss])
    assert torch.autograd.gradcheck(lambda x: mean(loss, x), (logits,))


@pytest.mark.parametrize("loss", LOSSES)
def test_far_logits_stay_finite_and_what_teaches_nothing_weighs_nothing(loss):
    logits = torch.tensor([[1e4, -1e4, 0.0, 30.0]]).repeat(5, 1).requires_grad_()
    value = mean(loss, logits)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()
    nothing = SoftScores(torch.zeros(5, 1, dtype=torch.int32), torch.zeros(5, 1).double())
    loss, unknown = Loss(loss, WEIGHTS), torch.full((5,), -1)
    assert not loss(logits, unknown, nothing).any()
    assert not loss.weights(unknown, nothing).any()


# Weights and probabilities --------------------------------------------------------------------


def test_class_weights_are_the_number_of_questions_over_the_frequency():
    weights = inverse_frequencies(torch.tensor([0, 0, 0, 2, 2, 3, -1]), 5)
    assert weights.tolist() == [2.0, 0.0, 3.0, 6.0, 0.0]


def test_sigmoids_begin_at_the_mean_score_of_each_answer():
    found = prior_logits(SoftScores(SOFT.ids, SOFT.scores.float()), 5).sigmoid()
    assert_close(found[:4], DENSE.mean(0).float())
    assert found[4].item() == pytest.approx(1e-4, rel=1e-3)  # an answer that nobody gave
