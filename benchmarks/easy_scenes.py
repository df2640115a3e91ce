"""Do the models look? Pictures of one coloured shape, with questions that only the picture answers.

    python benchmarks/easy_scenes.py --out easy --presets GUSE_ResNet Improved_VQA2015_ResNet

Draws the dataset in the official layout, trains each preset on it, and prints their table. The kind of
data is easy-VQA's (Zhou, 2019): three shapes in eight colours, asked about, affirmed and denied.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from vqa_helpers.presets import find_preset
from vqa_helpers.report.tables import results_table, to_markdown
from vqa_helpers.training.inputs import open_data
from vqa_helpers.training.train import train_recipe

SIDE = 64  # px
SHAPES = ("circle", "rectangle", "triangle")
COLOURS = {
    "red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "black": (0, 0, 0),
    "gray": (128, 128, 128), "teal": (0, 128, 128), "brown": (139, 69, 19), "yellow": (255, 255, 0),
}  # fmt: skip
ASKED = 8  # of the ten questions about each picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument(
        "--images", type=int, default=2000, help="for training; a fifth for each other split"
    )
    parser.add_argument("--presets", nargs="+", default=["GUSE_ResNet"])
    options = parser.parse_args()
    draw = np.random.default_rng(0)
    counts = {"train": options.images, "val": options.images // 5, "test": options.images // 5}
    for first, (split, count) in enumerate(counts.items(), start=1):
        write_split(options.out / "easy", split, range(first * 10**6, first * 10**6 + count), draw)
    data = open_data(options.out / "easy", offline=True, features=options.out / "features")
    folders = {name: options.out / "runs" / name for name in options.presets}
    runs = [train_recipe(find_preset(name), data, folder) for name, folder in folders.items()]
    print(to_markdown(results_table(runs)))


def write_split(folder: Path, split: str, ids: range, draw: Generator) -> None:
    """The pictures, questions and annotations of a split."""
    (folder / split).mkdir(parents=True)
    questions, annotations = [], []
    for image_id in ids:
        shape, colour = draw.choice(SHAPES), draw.choice([*COLOURS])
        picture(shape, COLOURS[colour], draw).save(folder / split / f"{image_id}.png")
        for number, (question, answer) in enumerate(asked(shape, colour, draw)):
            about = {"question_id": 10 * image_id + number, "image_id": image_id}
            questions.append(about | {"question": question})
            annotations.append(about | {"multiple_choice_answer": answer})
    for kind, entries in (("questions", questions), ("annotations", annotations)):
        path = folder / f"{kind}_{split}.json"
        path.write_text(json.dumps({kind: entries}), encoding="utf-8")


def picture(shape: str, colour: tuple[int, int, int], draw: Generator) -> Image.Image:
    """A shape of nearly that colour, 16 to 32 px large, somewhere on a nearly white square."""
    image = Image.new("RGB", (SIDE, SIDE), tuple(draw.integers(230, 256, 3).tolist()))
    size, pen = int(draw.integers(16, 33)), ImageDraw.Draw(image)
    left, top = draw.integers(1, SIDE - 1 - size, 2).tolist()
    right, bottom = left + size, top + size
    fill = tuple(np.clip(np.add(colour, draw.integers(-15, 16, 3)), 0, 255).tolist())
    if shape == "circle":
        pen.ellipse([left, top, right, bottom], fill)
    elif shape == "rectangle":
        pen.rectangle([left, top, right, top + int(size * draw.uniform(0.5, 1))], fill)
    else:
        pen.polygon([(left, bottom), (right, bottom), (left + size // 2, top)], fill)
    return image


def asked(shape: str, colour: str, draw: Generator) -> list[tuple[str, str]]:
    """Questions with their answers."""
    other = draw.choice([one for one in COLOURS if one != colour])
    no_shape = draw.choice([one for one in SHAPES if one != shape])
    every = [
        ("what color is the shape?", colour), ("what shape is in the image?", shape),
        (f"what is the color of the {shape}?", colour), (f"what shape is {colour}?", shape),
        (f"is there a {shape}?", "yes"), (f"is there a {no_shape}?", "no"),
        (f"does the image contain a {colour} shape?", "yes"),
        (f"is there a {other} shape in the image?", "no"),
        (f"does the image not contain a {other} shape?", "yes"),
        (f"does the image not contain a {shape}?", "no"),
    ]  # fmt: skip
    return [every[number] for number in draw.permutation(len(every))[:ASKED]]


if __name__ == "__main__":
    main()
