"""What does not fit the device comes to it in time: the next batches are made while one is learnt.

Knows that there are hosts, devices and batches; nothing of what is in them.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import torch
from torch import Tensor

AHEAD = 2  # batches in the making while one is learnt
_SHARE = 0.5  # of the free memory that tables may take; the rest is for the model and its work


class HasTensors(Protocol):
    def tensors(self) -> tuple[Tensor, ...]: ...


Made = TypeVar("Made", bound=HasTensors)


def home(table_bytes: int, device: torch.device) -> torch.device:
    """Where a table stays: on the device where it fits, else on the host."""
    if device.type == "cuda" and table_bytes > _SHARE * torch.cuda.mem_get_info(device)[0]:
        return torch.device("cpu")
    return device


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """The same on the device; nobody waits for the copy to end."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def ahead(batches: Iterator[Made], stream: torch.cuda.Stream | None) -> Iterator[Made]:
    """The same batches in the same order, made in another thread.

    Args:
        stream: the GPU's, for the copies; one for good, as there are few. None without a GPU.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(_make, batches, stream) for _ in range(AHEAD))
        while (made := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(_make, batches, stream))
            batch, copied = made
            if copied is not None:
                here = torch.cuda.current_stream(stream.device)
                here.wait_event(copied)
                for tensor in batch.tensors():
                    tensor.record_stream(here)  # its memory is in use until `here` has passed
            yield batch


def _make(
    batches: Iterator[Made], stream: torch.cuda.Stream | None
) -> tuple[Made, torch.cuda.Event | None] | None:
    with torch.cuda.stream(stream):  # of this thread; does nothing for None
        batch = next(batches, None)
        if batch is None:
            return None
        return batch, stream.record_event() if stream else None
