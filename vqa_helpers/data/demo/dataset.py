"""The demo dataset: drawn scenes and questions about them, written as COCO and VQA are.

It lets every experiment run offline, in minutes, with the biases and the disagreement of the real
data. Image k depends on the seed and on k alone, never on how many images there are.
"""

import json
import logging
from pathlib import Path

from numpy.random import SeedSequence, default_rng

from vqa_helpers.data.demo.asking import PER_IMAGE, Asked, ask_about
from vqa_helpers.data.demo.drawing import draw_scene
from vqa_helpers.data.demo.scenes import Scene, sample_scene
from vqa_helpers.data.text import question_type_of
from vqa_helpers.errors import InputError
from vqa_helpers.files import folder_in_one_step
from vqa_helpers.progress import track

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
# The split of image k, by k modulo ten: 80/10/10 of a round number of images, before train is cut.
_SPLIT_OF = ("train", "train", "train", "train", "val", "train", "train", "train", "train", "test")
ID_STRIDE = 7
JPEG_QUALITY = 54
INFO = {"description": "Drawn scenes with questions, made by vqa_helpers.", "version": "1.0"}
LICENSE = {"name": "CC0 1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}


def make_demo(
    folder: Path, *, seed: int = 0, images: int = 1500, train_images: int = 600, size_px: int = 128
) -> None:
    """Write the dataset to `folder`, which appears complete or not at all.

    Few images to train on make a first look short; as many to measure on make its scores tell.

    Args:
        folder: a path that does not exist, or an empty folder.
        seed: the same seed gives the same bytes (with the same Pillow and numpy).
        images: how many, ten or more; each has three questions.
        train_images: the most that are kept of the train split.
        size_px: side of the square pictures, sixteen or more.

    Raises:
        InputError: for a folder in the way.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"demo: {folder} is in the way; remove it or choose another folder")
    contents: dict[str, dict] = {"dataset": {"drawn": seed}}
    with folder_in_one_step(folder) as partial:
        for split in SPLITS:
            (partial / split).mkdir()
            head = {"info": INFO, "license": LICENSE, "data_type": "demo", "data_subtype": split}
            contents[f"questions_{split}"] = {**head, "task_type": "Open-Ended", "questions": []}
            contents[f"annotations_{split}"] = {**head, "annotations": []}
        of_train = [k for k in range(images) if _split_of(k) == "train"]
        kept = sorted({*range(images)} - {*of_train[train_images:]})
        for k in track(kept, "drawing the demo", unit="images"):
            image_id, split, scene, asked = make_image(seed, k)
            picture = draw_scene(scene, _stream(seed, k, 2), size_px)
            name = f"DEMO_{split}_{image_id:012d}.jpg"
            picture.save(partial / split / name, quality=JPEG_QUALITY, optimize=True)
            for index, one in enumerate(asked):
                ids = {"image_id": image_id, "question_id": image_id * 1000 + index}
                question = ids | {"question": one.question}
                contents[f"questions_{split}"]["questions"].append(question)
                contents[f"annotations_{split}"]["annotations"].append(ids | _annotation(one))
        for name, content in contents.items():
            text = json.dumps(content, separators=(",", ":"))
            (partial / f"{name}.json").write_text(text, encoding="utf-8")
    log.info("drew %d images with %d questions into %s", len(kept), len(kept) * PER_IMAGE, folder)


def _split_of(k: int) -> str:
    return _SPLIT_OF[k % len(_SPLIT_OF)]


def make_image(seed: int, k: int) -> tuple[int, str, Scene, tuple[Asked, ...]]:
    """Image k without its pixels: its id, its split, its scene and its questions."""
    rng = _stream(seed, k, 0)
    scene = sample_scene(rng)
    image_id = ID_STRIDE * k + int(rng.integers(1, ID_STRIDE + 1))
    return image_id, _split_of(k), scene, ask_about(scene, _stream(seed, k, 1))


def scene_of(image_id: int, seed: int = 0) -> Scene:
    """What an image of the demo shows.

    Raises:
        InputError: for an id that the demo of that seed does not give.
    """
    if image_id > 0:
        found, _, scene, _ = make_image(seed, (image_id - 1) // ID_STRIDE)
        if found == image_id:
            return scene
    raise InputError(f"image {image_id} is none of the demo's of seed {seed}; give one that is")


def _stream(seed: int, k: int, purpose: int):
    """Random numbers of image k; drawing and asking do not disturb each other."""
    return default_rng(SeedSequence(seed, spawn_key=(k, purpose)))


def _annotation(asked: Asked) -> dict:
    """What the official annotations file says of a question."""
    told = zip(asked.answers, asked.confidences, strict=True)
    return {
        "question_type": question_type_of(asked.question),
        "multiple_choice_answer": asked.answer,
        "answers": [
            {"answer": answer, "answer_confidence": sure, "answer_id": number}
            for number, (answer, sure) in enumerate(told, start=1)
        ],
        "answer_type": asked.answer_type,
    }
