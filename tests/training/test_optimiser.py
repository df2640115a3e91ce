"""Which numbers learn, and how fast."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from vqa_helpers.model.config import Schedule
from vqa_helpers.training.loop import Trainer
from vqa_helpers.training.optimiser import optimiser_of, restride

SCHEDULE = Schedule("study", "adamw", 0.1, batch=4, epochs=3, decay=0.5, decay_every=1)


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.vision = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        self.vision[0].requires_grad_(False)
        self.classifier = nn.Linear(2, 2)
        self.visionary = nn.Linear(2, 2)  # not the vision channel, whatever its name begins with


def test_one_rate_is_one_group():
    model = Parts()
    [group] = optimiser_of(model, SCHEDULE).param_groups
    assert len(group["params"]) == 6 and group["lr"] == 0.1


def test_vision_has_its_own_rate_and_frozen_parts_none():
    model = Parts()
    schedule = dataclasses.replace(SCHEDULE, vision_rate=0.001)
    rest, vision = optimiser_of(model, schedule).param_groups
    assert (rest["lr"], vision["lr"]) == (0.1, 0.001)
    assert {id(p) for p in vision["params"]} == {id(p) for p in model.vision[1].parameters()}
    assert len(rest["params"]) == 4


def test_adams_first_step_is_as_long_as_the_rate():
    model = Parts()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    schedule = dataclasses.replace(SCHEDULE, optimiser="adam", vision_rate=0.001)
    optimiser = optimiser_of(model, schedule)
    sum((p * 3).sum() for p in model.parameters() if p.requires_grad).backward()
    optimiser.step()
    moved = {n: (before[n] - p).abs().max().item() for n, p in model.named_parameters()}
    for name, distance in moved.items():
        rate = {"0": 0.0, "1": 0.001}.get(name.split(".")[1], 0.1)
        assert abs(distance - rate) < 1e-5, name


def test_the_decay_is_of_both_rates():
    trainer = Trainer(Parts(), dataclasses.replace(SCHEDULE, vision_rate=0.001), 0)
    trainer.optimiser.step()
    trainer.decay.step()
    assert [group["lr"] for group in trainer.optimiser.param_groups] == [0.05, 0.0005]


@pytest.mark.parametrize("saved_on_gpu", [True, False])
def test_a_state_from_another_kind_of_device_goes_on_as_its_own(saved_on_gpu):
    # A GPU trains channels last; the fused optimiser walks memory, not shapes.
    def trained(channels_last: bool) -> tuple[nn.Conv2d, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Conv2d(3, 4, 3)
        if channels_last:
            model.to(memory_format=torch.channels_last)
        return model, optimiser_of(model, SCHEDULE)

    def step(model: nn.Conv2d, optimiser: torch.optim.Optimizer, seed: int) -> None:
        torch.manual_seed(seed)
        optimiser.zero_grad()
        model(torch.randn(2, 3, 5, 5)).square().sum().backward()
        optimiser.step()

    whole, its_optimiser = trained(saved_on_gpu)
    step(whole, its_optimiser, 1)
    resumed, optimiser = trained(not saved_on_gpu)
    resumed.load_state_dict(whole.state_dict())
    optimiser.load_state_dict(copy.deepcopy(its_optimiser.state_dict()))
    restride(optimiser)
    step(whole, its_optimiser, 2)
    step(resumed, optimiser, 2)
    torch.testing.assert_close(resumed.weight, whole.weight)
