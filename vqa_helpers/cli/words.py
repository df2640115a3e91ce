"""What several commands share: exit codes, where work is done, options of the two channels."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

Work = Callable[[argparse.Namespace], int]


def command(
    commands, common: argparse.ArgumentParser, name: str, run: Work, help: str, **more
) -> argparse.ArgumentParser:
    """A command with its help and the function that does the work."""
    made = commands.add_parser(name, parents=[common], help=help, description=help, **more)
    made.set_defaults(run=run)
    return made


def add_device(made: argparse.ArgumentParser) -> None:
    """`--device`."""
    made.add_argument("--device", default="auto", help="cpu, cuda, … (default: a GPU if any)")


def add_executor(made: argparse.ArgumentParser) -> None:
    """`--executor`, `--address` and `--workers`."""
    made.add_argument("--executor", choices=["local", "ray"], default="local",
                      help="this machine, or a Ray cluster (local)")  # fmt: skip
    made.add_argument(
        "--address", metavar="ADDR",
        help="of the cluster: ray://HOST:10001, HOST:6379 or auto; local: a small one started here",
    )  # fmt: skip
    made.add_argument("--workers", type=int, default=0, metavar="N",
                      help="of the cluster, at most (one a GPU, without any one a CPU)")  # fmt: skip


def add_vision(made: argparse.ArgumentParser) -> None:
    """What the vision channel needs: weights, size, where features are kept, device."""
    made.add_argument(
        "--weights",
        default="auto",
        metavar="imagenet|random|FILE",
        help="of the vision network (default: random for the demo and offline, else imagenet)",
    )
    made.add_argument(
        "--image-size", type=int, default=0, metavar="PX",
        help="side of the square it sees (default: 64 for random weights, else 512)",
    )  # fmt: skip
    made.add_argument("--features", type=Path, default=Path("features"), metavar="DIR",
                      help="where features are kept (features)")  # fmt: skip
    add_device(made)


def add_language(made: argparse.ArgumentParser) -> None:
    """What the language channel needs: stand-ins or not, and the sentence encoder."""
    made.add_argument(
        "--offline", action="store_true",
        help="named stand-ins wherever a download would be needed; the demo implies it",
    )  # fmt: skip
    made.add_argument("--sentence-encoder", type=Path, metavar="DIR",
                      help="a SavedModel of the Universal Sentence Encoder")  # fmt: skip


def name_missing(folder: Path, image_ids: list[int]) -> list[int]:
    """Name the images that have no file; returns them."""
    for image_id in image_ids:
        what = "has no file, whose name must end in the id; its questions see none"
        print(f"vqa: {folder}: image {image_id} {what}", file=sys.stderr)
    return image_ids
