"""Which device computes."""

import torch

from vqa_helpers.errors import InputError


def pick_device(device: str = "auto") -> str:
    """A GPU where there is one, or the device named.

    Raises:
        InputError: for a device this machine does not have.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.ones(1, device=device).item()  # "meta" makes tensors that hold no numbers
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"device {device!r} cannot be used ({reason}); try cpu") from None
    return device
