"""Which device computes."""

import pytest

from vqa_helpers.device import pick_device
from vqa_helpers.errors import InputError


def test_auto_is_a_device_this_machine_has():
    assert pick_device("auto") in ("cpu", "cuda")
    assert pick_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99", "meta", "hpu", "CPU", "privateuseone"])
def test_a_device_that_is_not_there_is_refused_in_one_line(device):
    with pytest.raises(InputError, match=f"device '{device}' cannot be used .*; try cpu") as error:
        pick_device(device)
    assert "\n" not in str(error.value)
