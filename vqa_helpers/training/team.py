"""The processes that train one model together, each on its device; most often one alone.

Every process takes its share of each batch; sums over all of them make the result that of one.
accelerate finds out who they are and which device is whose, and carries what they tell each other;
it is imported where there are several, so that one alone needs none of it.
"""

import inspect
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vqa_helpers.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")

LONGEST_WAIT = timedelta(hours=24)  # for the main process, which computes features beforehand
WRONG_USE = 2  # exit code of the others, where the main process says what is wrong


@dataclass(frozen=True)
class Team:
    """This process and the others.

    Attributes:
        rank: which one this is, from 0.
        count: how many there are.
        device: where this one computes, as torch spells it; None alone, where the user chooses.
    """

    rank: int = 0
    count: int = 1
    device: str | None = None
    accelerator: "Accelerator | None" = None

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of (B,) rows; the parts differ by one row at most."""
        return rows[self.rank :: self.count]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.accelerator is None:
            return values
        return self.accelerator.reduce(values, "sum")

    def whole(self, values: Tensor, rows: Tensor, questions: int) -> Tensor:
        """What each process found for its rows, put together in the order of the table.

        Args:
            values: (n, …) of this process.
            rows: (n,) where they belong.
            questions: of the whole table.

        Returns:
            (questions, …).
        """
        if self.accelerator is None:
            return values
        placed = values.new_zeros(questions, *values.shape[1:])
        placed[rows.to(values.device)] = values
        return self.sum(placed)  # all others have 0 there

    def from_main(self, make: Callable[[], T]) -> T:
        """Call in the main process alone; every process gets what it returned.

        An error of the user's, or of the disk, ends the others too; only the main one says why.
        """
        if self.accelerator is None:
            return make()
        from accelerate.utils import broadcast_object_list

        outcome: list[Any] = [None, False]
        problem = None
        if self.main:
            try:
                outcome = [make(), False]
            except (InputError, OSError) as error:
                outcome, problem = [None, True], error
        broadcast_object_list(outcome)
        if problem is not None:
            raise problem
        if outcome[1]:
            raise SystemExit(WRONG_USE)
        return outcome[0]

    def main_first(self, make: Callable[[], T]) -> T:
        """Call in every process, the main one first: what it leaves on disk the others find."""
        made: list[T] = []
        self.from_main(lambda: made.append(make()))
        return made[0] if made else make()

    def everyones(self, own: list) -> list:
        """The items of all processes, one after another."""
        if self.accelerator is None:
            return own
        from accelerate.utils import gather_object

        return gather_object(own)

    def joined(self, model: nn.Module) -> nn.Module:
        """The model whose gradients are averaged over processes while they are computed.

        Batch normalisation then looks at the rows of all processes. The parameters are those of
        `model` itself, as they are in the main process.
        """
        if self.accelerator is None:
            return model
        from torch.nn.parallel import DistributedDataParallel

        from vqa_helpers.training.shared_norm import share_batch_norms

        # Shared statistics are the same everywhere; torch 2.15 has a new name for not sending them.
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        # A hint about speed; it concerns convolutions that see one pixel at a time, and few bytes.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        return DistributedDataParallel(share_batch_norms(model), **{name: False})

    def spread(self, model: nn.Module) -> None:
        """Give every process the main one's weights and statistics."""
        if self.accelerator is not None:
            for tensor in model.state_dict().values():
                sent = tensor.contiguous()  # whatever order of memory the model computes in
                torch.distributed.broadcast(sent, 0)
                tensor.copy_(sent)

    def reseed(self, seed: int, epoch: int) -> None:
        """Make what this process draws (dropout) its own, and follow from the epoch alone."""
        if self.accelerator is not None:
            drawn = np.random.SeedSequence([seed, epoch, self.rank]).generate_state(1)
            torch.manual_seed(int(drawn[0]))

    def leave(self) -> None:
        """Wait for the others and part; nothing can be shared afterwards."""
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()
            torch.distributed.destroy_process_group()


ALONE = Team()


def assemble(device: str = "auto") -> Team:
    """This process and those launched with it (`vqa train --processes`, `accelerate launch`).

    Args:
        device: "cpu", or "auto" or "cuda" for a GPU each.

    Raises:
        InputError: when accelerate is not installed, there are more processes than GPUs, or nobody
            has told them where the others are.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return ALONE
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r}: several processes take a GPU each; use cuda or cpu")
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    if not on_cpu and int(os.environ.get("LOCAL_RANK", "0")) >= torch.cuda.device_count():
        raise InputError(
            f"{torch.cuda.device_count()} GPUs are fewer than the processes on this machine; "
            "launch one for each, or use --device cpu"
        )
    try:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs
    except ImportError:
        raise InputError(
            "several processes need accelerate; install it (pip install accelerate)"
        ) from None
    waiting = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    try:
        accelerator = Accelerator(cpu=on_cpu, mixed_precision="no", kwargs_handlers=[waiting])
    except ValueError as error:  # WORLD_SIZE alone, without the rest
        reason = str(error).split("\n")[0]
        raise InputError(
            f"the processes cannot find each other ({reason}); start them with `vqa train "
            "--processes N` or `accelerate launch`"
        ) from None
    return Team(
        accelerator.process_index,
        accelerator.num_processes,
        str(accelerator.device),
        accelerator,
    )
