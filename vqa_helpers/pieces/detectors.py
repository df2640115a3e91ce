"""What a torchvision detector finds in photographs, as vectors: a bag of objects, or regions.

Each photograph is seen at the size it comes in. Knows nothing of where weights come from.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

PUBLISHED = {  # torchvision's, trained on COCO: the square they were made for, and the name of their weights
    "fasterrcnn_mobilenet_v3_large_320_fpn": (320, "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"),
    "fasterrcnn_mobilenet_v3_large_fpn": (800, "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth"),
    "fasterrcnn_resnet50_fpn": (800, "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"),
    "fasterrcnn_resnet50_fpn_v2": (800, "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth"),
}  # fmt: skip
REGIONS = 36  # of a photograph, the whole one first (Anderson et al., 2018, have 36)


def build(name: str) -> nn.Module:
    """A detector with random weights."""
    import torchvision

    network = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    if name == "fasterrcnn_resnet50_fpn":  # as torchvision has it with these weights
        for norm in filter(lambda part: isinstance(part, nn.BatchNorm2d), network.modules()):
            norm.eps = 0.0
    return network


def detect(network: nn.Module, image: Tensor) -> tuple[dict[str, Tensor], list[dict], list]:
    """What a Faster R-CNN sees in photographs (B, 3, S, S), 0 to 1.

    Returns:
        Its maps; what it found in each, boxes (n, 4) in pixels, labels (n,) and scores (n,), best
        first; and the sizes of the photographs.
    """
    network.transform.min_size = image.shape[-1:]  # as it is
    images, _ = network.transform(list(image))
    maps = network.backbone(images.tensors)
    proposals, _ = network.rpn(images, maps)
    found, _ = network.roi_heads(maps, proposals, images.image_sizes)
    return maps, found, images.image_sizes


def bag_of_objects(network: nn.Module, image: Tensor) -> Tensor:
    """(B, 3, S, S), 0 to 1, to the bag of each, (B, labels)."""
    labels = network.roi_heads.box_predictor.cls_score.out_features
    return bag_of(detect(network, image)[1], labels)


def bag_of(found: Sequence[Mapping[str, Tensor]], labels: int) -> Tensor:
    """The highest score of each label, (B, labels). Label 0, the background, is one minus the
    highest score of all: 1 if nothing was found."""
    rows = []
    for one in found:
        row = one["scores"].new_zeros(labels)
        row = row.scatter_reduce(0, one["labels"], one["scores"], "amax")
        row[0] = 1 - row.max()
        rows.append(row)
    return torch.stack(rows)


def regions(network: nn.Module, image: Tensor) -> Tensor:
    """(B, 3, S, S), 0 to 1, to the pooled features of the most confident boxes, (B, REGIONS, D):
    the whole photograph first, then the boxes, best first, then zeros."""
    maps, found, sizes = detect(network, image)
    whole = image.new_tensor([[0, 0, *sizes[0][::-1]]])
    boxes = [torch.cat([whole, one["boxes"][: REGIONS - 1]]) for one in found]
    heads = network.roi_heads
    pooled = heads.box_head(heads.box_roi_pool(maps, boxes, sizes))  # (all boxes, D)
    rows = pooled.split([len(one) for one in boxes])
    return torch.stack([pad(row, (0, 0, 0, REGIONS - len(row))) for row in rows])
