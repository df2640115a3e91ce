"""The four losses: values by hand, gradients in closed form and by differences, and descent."""

import math

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from vqa_helpers.recipe import LOSSES
from vqa_helpers.training.losses import (
    SOFT_LOSSES,
    Loss,
    SoftScores,
    inverse_frequencies,
    prior_logits,
    probabilities,
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
            each = functional.binary_cross_entropy_with_logits(
                logits[kept], DENSE[kept], reduction="none"
            )
            expected = each.sum(1).mean()
    else:  # PyTorch divides by the sum of the weights, not by the number of questions
        weights = WEIGHTS if loss == "weighted cross entropy" else None
        expected = functional.cross_entropy(logits, TARGET, weights, ignore_index=-1)
    assert_close(mean(loss, logits), expected)


def test_one_question_by_hand():
    logits = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    target = torch.tensor([0])
    soft = SoftScores(torch.tensor([[0, 1]]), torch.tensor([[0.9, 0.3]], dtype=torch.float64))
    # Softmax 3/4 and 1/4; sigmoids 3/4 and 1/2; shares of the soft scores 3/4 and 1/4.
    expected = {
        "cross entropy": -math.log(0.75),
        "weighted cross entropy": -math.log(0.75),
        "soft cross entropy": -0.75 * math.log(0.75) - 0.25 * math.log(0.25),
        "binary cross entropy": -0.9 * math.log(0.75) - 0.1 * math.log(0.25) - math.log(0.5),
    }
    for name, value in expected.items():
        loss = Loss(name, WEIGHTS[:2])
        found = loss(logits, target, soft) / loss.weights(target, soft)
        assert found.item() == pytest.approx(value, rel=1e-12)


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


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_agree_with_differences(loss, logits):
    assert torch.autograd.gradcheck(lambda x: mean(loss, x), (logits,))


@pytest.mark.parametrize("loss", LOSSES)
def test_descent_finds_what_the_loss_asks_for(loss):
    logits = torch.zeros(5, 4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    values = []
    for _ in range(400):
        values.append(mean(loss, logits))
        optimiser.zero_grad()
        values[-1].backward()
        optimiser.step()
    assert values[-1] < values[100] < values[0]
    found = probabilities(logits.detach(), loss)
    if loss in SOFT_LOSSES:
        total = 1 if loss == "binary cross entropy" else DENSE.sum(1, keepdim=True)
        taught = SOFT_WEIGHT.bool()
        assert_close(found[taught], (DENSE / total)[taught].float(), atol=0.02, rtol=0)
    else:
        assert found[HARD_WEIGHT.bool()].argmax(1).tolist() == [0, 3, 2]
        assert found[HARD_WEIGHT.bool()].amax(1).min() > 0.95
    assert not logits[2].any()  # what nobody knows teaches nothing


@pytest.mark.parametrize("loss", LOSSES)
def test_far_logits_stay_finite(loss):
    logits = torch.tensor([[1e4, -1e4, 0.0, 30.0]]).repeat(5, 1).requires_grad_()
    value = mean(loss, logits)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_that_teaches_nothing_weighs_nothing(loss, logits):
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
    # Where the bias is all a model has, there is nothing left to learn.
    logits = found[:4].logit().double().repeat(5, 1).requires_grad_()
    losses = Loss("binary cross entropy")(logits, TARGET, SOFT)
    [gradient] = torch.autograd.grad(losses.sum(), logits)
    taught = SOFT_WEIGHT[:, None] * (found[:4].double() - DENSE)
    assert_close(gradient, taught)
