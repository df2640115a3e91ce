"""What a detector finds, as a bag of objects or as regions."""

import pytest
import torch
import torchvision
from torch.testing import assert_close

from vqa_helpers.errors import InputError
from vqa_helpers.pieces import networks
from vqa_helpers.pieces.detectors import PUBLISHED, REGIONS, bag_of, bag_of_objects, build, regions
from vqa_helpers.pieces.vision import (
    NetworkInLoop,
    StoredFeatures,
    StoredGrid,
    VisionEncoder,
    for_inference,
)  # fmt: skip

SMALLEST = "fasterrcnn_mobilenet_v3_large_320_fpn"
PHOTOGRAPHS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def found(labels: list[int], scores: list[float]) -> dict[str, torch.Tensor]:
    return {"labels": torch.tensor(labels, dtype=torch.int64), "scores": torch.tensor(scores)}


def test_a_bag_holds_the_highest_score_of_each_label():
    several = found([2, 1, 2, 4], [0.75, 0.5, 0.25, 0.125])
    assert bag_of([several, found([], []), found([3], [1.0])], 5).tolist() == [
        [0.25, 0.5, 0.75, 0, 0.125],
        [1, 0, 0, 0, 0],  # nothing: still no row of zeros, which would be an image that is missing
        [0, 0, 0, 1, 0],
    ]


@pytest.fixture(scope="module")
def detector():
    """A small real one, of four labels, that finds three things in anything."""
    torch.manual_seed(0)
    settings = {"num_classes": 4, "box_score_thresh": 0.0, "box_detections_per_img": 3}
    none = {"weights": None, "weights_backbone": None}
    return torchvision.models.get_model(SMALLEST, **none, **settings).eval()


@torch.inference_mode()
def test_a_bag_is_of_what_torchvision_itself_finds(detector):
    detector.transform.min_size, detector.transform.max_size = (64,), 640
    expected = bag_of(detector(list(PHOTOGRAPHS)), 4)
    bag = bag_of_objects(detector, PHOTOGRAPHS)
    assert_close(bag, expected) and bag.shape == (2, 4)
    assert (bag[:, 1:] > 0).any(dim=1).all()


@torch.inference_mode()
def test_regions_are_the_whole_photograph_and_the_surest_boxes_padded(detector):
    rows = regions(detector, PHOTOGRAPHS)
    assert rows.shape == (2, REGIONS, 1024)
    maps = detector.backbone(detector.transform(list(PHOTOGRAPHS))[0].tensors)
    heads, whole = detector.roi_heads, torch.tensor([0.0, 0, 64, 64])
    for number, one in enumerate(detector(list(PHOTOGRAPHS))):
        maps_of_one = {name: values[number : number + 1] for name, values in maps.items()}
        assert len(one["boxes"]) == 3 and one["scores"].diff().max() <= 0
        for place, box in enumerate([whole, *one["boxes"]]):
            pooled = heads.box_roi_pool(maps_of_one, [box[None]], [(64, 64)])
            assert_close(rows[number, place], heads.box_head(pooled)[0], rtol=1e-4, atol=1e-5)
    assert rows[:, :4].any(dim=2).all() and not rows[:, 4:].any()
    assert_close(regions(detector, PHOTOGRAPHS[1:]), rows[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_said_of_a_detector_is_true(name):
    [weights, *_] = torchvision.models.get_model_weights(name)
    facts = networks.facts_of(name)
    assert weights.url.endswith(f"/{facts.published}")
    assert len(weights.meta["categories"]) == facts.width
    with torch.device("meta"):
        predictor = build(name).roi_heads.box_predictor.cls_score
    assert (predictor.out_features, predictor.in_features) == (facts.width, facts.grid_width)
    assert networks.own_size(name, "imagenet") == facts.size_px


@pytest.mark.parametrize(("grid", "shape"), [(False, (2, 91)), (True, (2, REGIONS, 1024))])
def test_it_is_a_network_as_any_other(grid, shape):
    encoder = VisionEncoder(SMALLEST, "random", grid=grid)
    pixels = (255 * PHOTOGRAPHS).byte()
    assert encoder(pixels).shape == shape and encoder.out_dim == shape[-1]
    assert not encoder(pixels).requires_grad
    with torch.inference_mode():
        assert_close(for_inference(encoder)(pixels), encoder(pixels), rtol=1e-3, atol=1e-5)
    piece = (StoredGrid if grid else StoredFeatures)(SMALLEST, "random")
    assert (piece.out_dim, piece.size_px) == (shape[-1], networks.RANDOM_SIZE_PX)
    with pytest.raises(InputError, match=f"^{SMALLEST}: a detector is not trained here"):
        NetworkInLoop(SMALLEST, "random", trained="all")


def test_weights_of_a_file_are_read_and_others_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(1)
    state = build(SMALLEST).state_dict()
    # As torchvision publishes them: of norms that are frozen, which count nothing.
    published = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(published, tmp_path / "detector.pth")
    loaded = VisionEncoder(SMALLEST, str(tmp_path / "detector.pth")).network.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    for weights, line in (("local", r"COCO weights of .* put fasterrcnn\w+-907ea3f9.pth into"),
                          ("packaged", "no package carries its weights")):  # fmt: skip
        with pytest.raises(InputError, match=line) as caught:
            StoredFeatures(SMALLEST, weights)
        assert "\n" not in str(caught.value)
