"""What `test_team` runs in two processes: the same steps alone and together, compared."""

import copy
import json

import torch
from torch import nn

from vqa_helpers.errors import InputError
from vqa_helpers.training.batches import Batches, QuestionTensors
from vqa_helpers.training.loop import evaluate
from vqa_helpers.training.losses import loss_function
from vqa_helpers.training.step import SharedStep
from vqa_helpers.training.team import ALONE, Team, assemble

ANSWERS = 5


class Model(nn.Module):
    """Sentence vectors to logits; the first layers may be frozen, batch norm and all."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.frozen = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)).requires_grad_(False)
        layers = [nn.Linear(6, 8), nn.ReLU(), nn.BatchNorm1d(8) if norm else nn.Identity()]
        self.layers = nn.Sequential(*layers, nn.Linear(8, ANSWERS))

    def train(self, mode: bool = True) -> "Model":
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, image, question, lengths):
        return self.layers(self.frozen(question))


def batches(questions: int, size: int, team: Team) -> Batches:
    generator = torch.Generator().manual_seed(0)
    question = torch.randn(questions, 6, dtype=torch.float64, generator=generator)
    target = torch.randint(ANSWERS, (questions,), generator=generator)
    rows = torch.zeros(questions, dtype=torch.int64)
    return Batches(QuestionTensors(question, None, rows, target), None, size, team=team)


def gradients(model: Model, team: Team, questions: int, parts: int) -> list[torch.Tensor]:
    loss = loss_function("weighted cross entropy", torch.linspace(1, 30, ANSWERS).double())
    [batch] = batches(questions, questions, team).shuffled(torch.Generator().manual_seed(2))
    step = SharedStep(model, loss, torch.device("cpu"), "float32", parts, team)
    model.train()
    step(batch)
    return [p.grad for p in model.parameters() if p.requires_grad]


def difference(team: Team, norm: bool, questions: int, parts: int = 1) -> tuple[float, Model]:
    torch.manual_seed(0)
    model = Model(norm).double()
    alone = copy.deepcopy(model)
    expected = gradients(alone, ALONE, questions, 1)
    found = gradients(model, team, questions, parts)
    buffers = zip(alone.buffers(), model.buffers(), strict=True)
    model.apart = max((a.double() - b.double()).abs().max().item() for a, b in buffers)
    pairs = zip(expected, found, strict=True)
    return max((a - b).abs().max().item() for a, b in pairs), model


def main() -> None:
    team = assemble("cpu")
    found = {"plain": difference(team, False, 21)[0], "in parts": difference(team, False, 21, 3)[0]}
    found["batch norm"], model = difference(team, True, 21)
    found["statistics"] = model.apart
    start = copy.deepcopy(model.frozen[1].running_mean)
    found["one row"] = difference(team, True, 3)[0]  # the second process has a single question
    found["frozen"] = start.abs().max().item()  # as it was made: zeros
    result = evaluate(model, batches(11, 4, team))
    alone = evaluate(model, batches(11, 4, ALONE))
    found["evaluation"] = [round(result[0], 12), result[1].tolist(), result[2]]
    found["evaluation alone"] = [round(alone[0], 12), alone[1].tolist(), alone[2]]
    found["everyones"] = team.everyones([10 * team.rank])
    assert team.from_main(lambda: team.rank) == 0
    try:
        team.from_main(refuse)
    except InputError as error:
        found["error"] = str(error)
    except SystemExit as end:
        assert end.code == 2 and not team.main
    if team.main:
        print(json.dumps(found))
    team.leave()


def refuse() -> None:
    raise InputError("main says no")


if __name__ == "__main__":
    main()
