"""What a model learns to make small: four losses, and what each takes its logits to mean.

A question has a target, the one answer that most annotators gave, and soft scores, how much of
the official accuracy each answer would earn. Knows tensors alone: who counts the annotators is
`training.tensors`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vqa_helpers.data.vocabulary import OUTSIDE
from vqa_helpers.model.config import Loss

SOFT_LOSSES = ("soft cross entropy", "binary cross entropy")
RAREST = 1e-4  # the least that an answer is expected, so that every logit is finite


@dataclass
class SoftScores:
    """The soft scores of N questions, those above 0 alone: at most K of them a question.

    Attributes:
        ids: (N, K) int32 answers, padded with 0.
        scores: (N, K) from 0 to 1, padded with 0.
    """

    ids: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Tensor) -> "SoftScores":
        return SoftScores(self.ids[rows], self.scores[rows])

    def to(self, device: torch.device | str) -> "SoftScores":
        """The same on a device."""
        return SoftScores(self.ids.to(device), self.scores.to(device))

    def clone(self) -> "SoftScores":
        """The same in other memory."""
        return SoftScores(self.ids.clone(), self.scores.clone())

    def total(self) -> Tensor:
        """The sum of each question's scores, (N,)."""
        return self.scores.sum(1)

    def pick(self, values: Tensor) -> Tensor:
        """The sum over a question's answers of score times value: (N, A) to (N,).

        The padding adds nothing, since its scores are 0.
        """
        return (self.scores * values.gather(1, self.ids.long())).sum(1)


# Logits (B, A), targets (B,) and soft scores (B) to the losses of the batch and their weights,
# (B,) each. A question that teaches nothing has loss and weight 0.
LossFunction = Callable[[Tensor, Tensor, SoftScores | None], tuple[Tensor, Tensor]]


def loss_function(loss: Loss, class_weights: Tensor | None = None) -> LossFunction:
    """The loss of that name.

    The loss of several questions is the sum of their losses over the sum of their weights:
    for "weighted cross entropy" that is PyTorch's weighted mean, for the others the mean.

    Args:
        class_weights: (A,), for "weighted cross entropy": see `inverse_frequencies`.
    """
    match loss:
        case "cross entropy":
            return cross_entropy
        case "weighted cross entropy":
            if class_weights is None:
                raise ValueError("a weighted cross entropy needs class weights")
            return lambda logits, target, soft: weighted_cross_entropy(
                logits, target, class_weights
            )
        case "soft cross entropy":
            return soft_cross_entropy
        case "binary cross entropy":
            return binary_cross_entropy


def cross_entropy(
    logits: Tensor, target: Tensor, soft: SoftScores | None = None
) -> tuple[Tensor, Tensor]:
    """Minus the log probability of the target, by softmax; weight 1 where there is one."""
    losses = functional.cross_entropy(logits, target, ignore_index=OUTSIDE, reduction="none")
    return losses, (target != OUTSIDE).to(losses.dtype)


def weighted_cross_entropy(
    logits: Tensor, target: Tensor, class_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """The cross entropy times the weight of the target's class (reference study, Model100)."""
    class_weights = class_weights.to(logits)
    losses = functional.cross_entropy(
        logits, target, class_weights, ignore_index=OUTSIDE, reduction="none"
    )
    return losses, class_weights[target.clamp(min=0)] * (target != OUTSIDE)


def soft_cross_entropy(logits: Tensor, target: Tensor, soft: SoftScores) -> tuple[Tensor, Tensor]:
    """The cross entropy, by softmax, against the soft scores divided by their sum.

    Its gradient is the probabilities less that distribution.
    """
    total = soft.total()
    divisor = torch.where(total > 0, total, torch.ones_like(total))
    losses = -soft.pick(logits.log_softmax(1)) / divisor
    return losses, (total > 0).to(losses.dtype)


def binary_cross_entropy(logits: Tensor, target: Tensor, soft: SoftScores) -> tuple[Tensor, Tensor]:
    """A sigmoid for every answer against its soft score, summed over all answers (Teney et al.,
    2017, "Tips and tricks for visual question answering", equation 4).

    With t the score and x the logit that is -t log s(x) - (1 - t) log(1 - s(x)), which is
    log(1 + exp x) - t x; its gradient is s(x) - t.
    """
    teaches = soft.total() > 0
    losses = functional.softplus(logits).sum(1) - soft.pick(logits)
    return losses * teaches, teaches.to(losses.dtype)


def inverse_frequencies(target: Tensor, answers: int) -> Tensor:
    """The class weights of the study, N / frequency, from the N train targets: (A,).

    An answer that no target names has weight 0: there is nothing to weigh.
    """
    counts = torch.bincount(target[target != OUTSIDE].cpu(), minlength=answers)
    return torch.where(counts > 0, counts.sum() / counts.clamp(min=1), 0.0)


def prior_logits(soft: SoftScores, answers: int) -> Tensor:
    """What sigmoids should say of each answer before a question is seen: its mean score, (A,).

    A thousand sigmoids that begin at one half are wrong about 999, and a model spends its first
    epochs on unlearning that alone (Lin et al., 2017, "Focal loss", section 4.1).
    """
    sums = torch.zeros(answers, device=soft.scores.device)
    sums.index_add_(0, soft.ids.flatten().long(), soft.scores.flatten())
    return (sums / len(soft)).logit(eps=RAREST)


def probabilities(logits: Tensor, loss: Loss) -> Tensor:
    """What the logits (B, A) say of each answer: a softmax, or after "binary cross entropy"
    sigmoids, which need not sum to one. The order is the same."""
    logits = logits.float()
    return logits.sigmoid() if loss == "binary cross entropy" else logits.softmax(1)
