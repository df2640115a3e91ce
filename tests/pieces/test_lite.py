"""EfficientNet-Lite computes what timm's does, number for number."""

import subprocess
import sys

import pytest
import timm
import torch

from vqa_helpers.pieces.lite import SCALES, EfficientNetLite


@pytest.mark.parametrize("name", SCALES)
def test_it_is_timms_network(name):
    theirs = timm.create_model(f"tf_{name}").eval()
    ours = EfficientNetLite(name).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for side in (224, 97):  # an odd side shows where an odd pixel of padding goes
        image = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
        with torch.no_grad():
            assert torch.equal(ours.forward_features(image), theirs.forward_features(image))
            assert torch.equal(ours(image), theirs(image))
    ours.reset_classifier(0)
    assert ours(image).shape == (2, 1280)


def test_random_weights_keep_the_signal():
    torch.manual_seed(0)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = EfficientNetLite("efficientnet_lite0").eval().forward_features(image)
    assert 1e-3 < maps.std() < 10


def test_neither_timm_nor_torchvision_is_imported():
    code = (
        "import sys; from vqa_helpers.pieces.vision import VisionEncoder; "
        "VisionEncoder('efficientnet_lite0', 'packaged'); "
        "sys.exit(bool({'timm', 'torchvision'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_depth_wise_convolutions_are_kept_out_of_half_floats():
    network, kinds = EfficientNetLite("efficientnet_lite0", 0), set()
    for name, part in network.named_modules():
        if "conv_" in name:
            part.register_forward_hook(
                lambda part, _, maps: kinds.add((part.groups > 1, maps.dtype))
            )
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.zeros(2, 3, 32, 32)).sum().backward()
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    with torch.no_grad():  # a network that is half floats throughout stays so
        assert network.bfloat16()(torch.zeros(2, 3, 32, 32).bfloat16()).dtype == torch.bfloat16
