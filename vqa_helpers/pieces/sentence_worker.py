"""Runs a sentence encoder stored as a TensorFlow SavedModel, in a process of its own.

TensorFlow takes a whole GPU when it starts and is slow to import, so it never enters the process
that trains: `embed_in_subprocess` starts this module as a program, on the CPU, and reads back
one array. Both ends of that conversation are here. Knows nothing of caches, of which questions
were asked before, or of what stands in for a missing model.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import numpy as np

from vqa_helpers.errors import InputError
from vqa_helpers.progress import track

log = logging.getLogger("vqa_helpers.pieces.sentence_worker")  # __name__ is __main__ in the child

BATCH = 512
DOWNLOAD_SILENCE_S = 60.0  # a blocked connection fails after this, instead of hanging
ERROR = "ERROR "  # what opens the one line that says why the child gave up
EXIT_FAILED, EXIT_UNAVAILABLE = 2, 3


class Unavailable(Exception):
    """The model could not be fetched: no network, or no tensorflow-hub to fetch it with."""


def one_line(error: object, limit: int = 200) -> str:
    """The beginning of an error's text, its line breaks removed; at most `limit` characters."""
    return " ".join(str(error).split())[:limit]


# ---------------------------------------------------------------- the parent's end


def embed_in_subprocess(source: str, questions: list[str], width: int) -> np.ndarray:
    """Embed questions with a SavedModel, on the CPU, in a separate Python.

    Args:
        source: a folder that holds `saved_model.pb`, or an https handle of TensorFlow Hub.
        questions: the texts, at least one.
        width: the width each vector must have.

    Returns:
        (N, width) float32, finite, rows in the order given.

    Raises:
        Unavailable: the handle could not be fetched.
        InputError: TensorFlow is missing, or the model does not load, run or fit.
    """
    with tempfile.TemporaryDirectory(prefix="vqa-sentences-") as scratch:
        asked, answered, noise = (Path(scratch, n) for n in ("in.json", "out.npy", "stderr.txt"))
        asked.write_text(json.dumps(questions), encoding="utf-8")
        arguments = [source, str(asked), str(answered), str(width)]
        program = [sys.executable, "-P", "-m", "vqa_helpers.pieces.sentence_worker"]
        code, reason = _run([*program, *arguments], noise)
        if code == EXIT_UNAVAILABLE:
            raise Unavailable(reason)
        if code != 0:
            if not reason:
                lines = noise.read_text(encoding="utf-8", errors="replace").split("\n")
                last = one_line(next((line for line in reversed(lines) if line.strip()), ""))
                reason = (
                    f"the sentence encoder's process ended with code {code} ({last}); "
                    "is there enough memory, and does `import tensorflow` work?"
                )
            raise InputError(reason)
        vectors = np.load(answered, allow_pickle=False)
    if vectors.shape != (len(questions), width) or not np.isfinite(vectors).all():
        raise InputError(
            f"{source}: gave an array of shape {vectors.shape} for {len(questions)} questions, or "
            f"values that are not finite; expected ({len(questions)}, {width}): is the model whole?"
        )
    return vectors


def _run(command: list[str], noise: Path) -> tuple[int, str]:
    """Run the child, pass its progress lines to the log; (exit code, its reason or "")."""
    package_root = str(Path(__file__).resolve().parents[2])
    path = [p for p in (os.environ.get("PYTHONPATH"), package_root) if p]
    environment = os.environ | {
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": os.pathsep.join(path),
    }
    reason = ""
    with (
        noise.open("wb") as stderr,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
        ) as child,
    ):
        try:
            for line in child.stdout:
                if line.startswith(ERROR):
                    reason = line.removeprefix(ERROR).strip()
                elif line.strip():
                    log.info("%s", line.strip())
        except BaseException:  # an interrupt must not leave the child behind
            child.kill()
            raise
    return child.returncode, reason


# ---------------------------------------------------------------- the child's end


def main(arguments: list[str]) -> int:
    """Embed the questions of a JSON list: SOURCE IN.json OUT.npy WIDTH; returns the exit code."""
    source, asked, answered, width = arguments
    out = logging.StreamHandler(sys.stdout)
    out.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("vqa_helpers")
    package.addHandler(out)
    package.setLevel(logging.INFO)
    package.propagate = False  # TensorFlow's own handlers sit on the root
    try:
        questions = json.loads(Path(asked).read_text(encoding="utf-8"))
        np.save(answered, embed(load(source), questions, int(width), source))
    except Unavailable as error:
        log.error("%s%s", ERROR, one_line(error, limit=2000))
        return EXIT_UNAVAILABLE
    except InputError as error:
        log.error("%s%s", ERROR, one_line(error, limit=2000))
        return EXIT_FAILED
    return 0


def load(source: str) -> Callable:
    """The function inside a SavedModel that maps a batch of strings to vectors."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise InputError(
            f"TensorFlow cannot be imported by {sys.executable} ({one_line(error)}): "
            "`pip install tensorflow`, or use --offline for the hashed n-gram stand-in"
        ) from error
    folder = fetch(source) if source.startswith("https://") else source
    try:
        model = tf.saved_model.load(folder)
    except (OSError, ValueError, KeyError, RuntimeError, tf.errors.OpError) as error:
        raise InputError(
            f"{folder}: TensorFlow cannot load this SavedModel ({one_line(error)}); "
            "unpack it again, with its `variables` folder beside `saved_model.pb`"
        ) from error
    if callable(model):
        return model
    if "serving_default" in model.signatures:
        return model.signatures["serving_default"]
    raise InputError(f"{folder}: the SavedModel has nothing to call; is it a sentence encoder?")


def fetch(handle: str) -> str:
    """The folder TensorFlow Hub has unpacked a handle into, downloading it at need."""
    import socket

    import tensorflow as tf

    try:
        import tensorflow_hub
    except ImportError as error:
        remedy = "tensorflow-hub"
        if "pkg_resources" in str(error):
            remedy = "'setuptools<82'"  # tensorflow-hub imports a module that left setuptools
        raise Unavailable(f"{one_line(error)}: `pip install {remedy}`") from error
    socket.setdefaulttimeout(DOWNLOAD_SILENCE_S)
    log.info("downloading %s (about 1 GB)", handle)
    try:
        return tensorflow_hub.resolve(handle)
    except (OSError, EOFError, ValueError, HTTPException, tf.errors.OpError) as error:
        raise Unavailable(f"{handle} cannot be downloaded ({one_line(error)})") from error


def embed(model: Callable, questions: list[str], width: int, source: str) -> np.ndarray:
    """Run the model batch by batch; (N, width) float32."""
    import tensorflow as tf

    rows = np.empty((len(questions), width), dtype=np.float32)
    starts = range(0, len(questions), BATCH)
    for start in track(starts, "sentences embedded", unit=f"batches of {BATCH}"):
        batch = questions[start : start + BATCH]
        try:
            result = model(tf.constant(batch))
            if isinstance(result, dict) and len(result) == 1:  # a signature names its outputs
                (result,) = result.values()
            vectors = np.asarray(result)
        except (TypeError, ValueError, tf.errors.OpError) as error:
            raise InputError(
                f"{source}: the model does not take a batch of strings ({one_line(error)}); "
                "is it a sentence encoder?"
            ) from error
        if vectors.shape != (len(batch), width):
            raise InputError(
                f"{source}: the model returns shape {vectors.shape} for {len(batch)} questions, "
                f"expected ({len(batch)}, {width}); is it the Universal Sentence Encoder 4?"
            )
        rows[start : start + BATCH] = vectors
    log.info("%d sentences embedded", len(questions))
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
