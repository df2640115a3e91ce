"""The four losses, and the probabilities that each implies for the logits.

A question has a target, the one answer that most annotators gave, and soft scores, how much of
the official accuracy each answer would earn (`training.inputs` counts the annotators).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vqa_helpers.data.vocabulary import OUTSIDE

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

    def __getitem__(self, rows: Tensor | slice) -> "SoftScores":
        return SoftScores(self.ids[rows], self.scores[rows])

    def to(self, device: torch.device | str) -> "SoftScores":
        """The same on a device."""
        return SoftScores(self.ids.to(device), self.scores.to(device))

    def total(self) -> Tensor:
        """The sum of each question's scores, (N,)."""
        return self.scores.sum(1)

    def pick(self, values: Tensor) -> Tensor:
        """The sum over a question's answers of score times value: (N, A) to (N,).

        The padding adds nothing, since its scores are 0.
        """
        return (self.scores * values.gather(1, self.ids.long())).sum(1)


class Loss:
    """A loss by name; over several questions it is the sum of their losses divided by the sum of
    their weights. A question that is not trained on has loss and weight 0.

    * "cross entropy": minus the log probability of the target, by softmax.
    * "weighted cross entropy": times the weight of the target's class (reference study, Model100),
      so that the loss of several is PyTorch's weighted mean.
    * "soft cross entropy": against the soft scores divided by their sum; its gradient is the
      probabilities less that distribution.
    * "binary cross entropy": a sigmoid for every answer against its soft score, summed over all
      answers (Teney et al., 2017, "Tips and tricks for visual question answering", equation 4).
      With t the score and x the logit that is -t log s(x) - (1 - t) log(1 - s(x)), which is
      log(1 + exp x) - t x; its gradient is s(x) - t.

    Args:
        class_weights: (A,), for "weighted cross entropy": see `inverse_frequencies`.
    """

    def __init__(self, name: str, class_weights: Tensor | None = None) -> None:
        self.name = name
        self.class_weights = class_weights if name == "weighted cross entropy" else None

    def __call__(self, logits: Tensor, target: Tensor, soft: SoftScores | None) -> Tensor:
        """Logits (B, A), targets (B,) and soft scores (B) to the losses (B,)."""
        if self.name == "soft cross entropy":
            total = soft.total()
            divisor = torch.where(total > 0, total, torch.ones_like(total))
            return -soft.pick(logits.log_softmax(1)) / divisor
        if self.name == "binary cross entropy":
            losses = functional.softplus(logits).sum(1) - soft.pick(logits)
            return losses * (soft.total() > 0)
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        known = {"ignore_index": OUTSIDE, "reduction": "none"}
        return functional.cross_entropy(logits, target, weights, **known)

    def weights(self, target: Tensor, soft: SoftScores | None) -> Tensor:
        """The weight of each question, (B,)."""
        if self.name in SOFT_LOSSES:
            return (soft.total() > 0).float()
        known = (target != OUTSIDE).float()
        if self.class_weights is None:
            return known
        return self.class_weights.to(known)[target.clamp(min=0)] * known


def inverse_frequencies(target: Tensor, answers: int) -> Tensor:
    """The class weights of the study, N / frequency, from the N train targets: (A,).

    An answer that no target names has weight 0: there is nothing to weigh.
    """
    counts = torch.bincount(target[target != OUTSIDE].cpu(), minlength=answers)
    return torch.where(counts > 0, counts.sum() / counts.clamp(min=1), 0.0)


def prior_logits(soft: SoftScores, answers: int) -> Tensor:
    """The logits whose sigmoids are the mean score of each answer, before any question is seen,
    (A,).

    A thousand sigmoids that begin at one half are wrong about 999, and a model spends its first
    epochs on unlearning that alone (Lin et al., 2017, "Focal loss", section 4.1).
    """
    sums = torch.zeros(answers, device=soft.scores.device)
    sums.index_add_(0, soft.ids.flatten().long(), soft.scores.flatten())
    return (sums / len(soft)).logit(eps=RAREST)


def probabilities(logits: Tensor, loss: str) -> Tensor:
    """The probabilities that the logits (B, A) imply: a softmax, or after "binary cross entropy"
    sigmoids, which need not sum to one. The order is the same."""
    logits = logits.float()
    return logits.sigmoid() if loss == "binary cross entropy" else logits.softmax(1)
