"""The public files, cut small: archives of the official names and layout, served from this machine.

Stand-ins: drawn photographs of marks on a ground, weights drawn at random under the name of
ImageNet's, word vectors drawn at random in GloVe's format, a small SavedModel in place of the
Universal Sentence Encoder.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterable
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path

import numpy as np
import torch
import torchvision

from tests.builders import read_json, write_json, write_release
from vqa_helpers.data.vocabulary import tokenize

ENCODER = """
import sys
import tensorflow as tf


class Encoder(tf.Module):
    def __init__(self):
        super().__init__()
        self.frequencies = tf.Variable(tf.linspace(0.1, 1.0, 512))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, texts):
        place = tf.cast(tf.strings.to_hash_bucket_fast(texts, 1000), tf.float32)
        return tf.sin(place[:, None] * self.frequencies[None, :])


tf.saved_model.save(Encoder(), sys.argv[1])
"""
KINDS = {"Questions": "questions", "Annotations": "annotations"}
SUBSETS = {"Train": "train2014", "Val": "val2014", "Test": "test2015"}


def make_mirror(folder: Path, images: int = 40) -> Path:
    """Every public file, cut small, in `folder/files`; ResNet18's weights in `folder/torch`."""
    files = folder / "files"
    files.mkdir(parents=True)
    for release in ("v1", "v2"):
        made = folder / release
        made.mkdir()
        write_release(made, release, images=images)
        prefix = "v2_" if release == "v2" else ""
        for kind in KINDS:
            for part, subset in SUBSETS.items():
                chosen = [p for p in made.glob(f"*_{subset}_{KINDS[kind]}.json")]
                if chosen:
                    _zip(files / f"{prefix}{kind}_{part}_mscoco.zip", chosen, made)
        for part in ("Train", "Val") if release == "v2" else ():
            asked = read_json(made / f"v2_OpenEnded_mscoco_{SUBSETS[part]}_questions.json")
            ids = [[asked["questions"][0]["question_id"], asked["questions"][-1]["question_id"]]]
            pairs = write_json(made / f"v2_mscoco_{SUBSETS[part]}_complementary_pairs.json", ids)
            _zip(files / f"v2_Complementary_Pairs_{part}_mscoco.zip", [pairs], made)
    for subset in SUBSETS.values():
        _zip(files / f"{subset}.zip", (folder / "v1" / subset).iterdir(), folder / "v1")
    shutil.copy(files / "test2015.zip", files / "test2014.zip")
    _write_glove(files / "glove.6B.zip", folder / "v1")
    _write_encoder(files / "universal-sentence-encoder-4.tar.gz", folder / "encoder")
    _write_weights(folder / "torch" / "hub" / "checkpoints")
    return folder


def write_sources(folder: Path, address: str) -> Path:
    """The project's own list of public files, with these addresses, lengths and sums."""
    listed = json.loads(
        resources.files("vqa_helpers.data.public").joinpath("sources.json").read_text()
    )
    listed["single_image"] = f"{address}/photographs/{{subset}}/{{name}}"
    for source in listed["sources"]:
        for entry in source["files"]:
            name = entry.get("saved_as") or entry["url"].rpartition("/")[2]
            entry |= {"url": f"{address}/files/{name}", "mirrors": []}
            path = folder / "files" / name
            if path.exists():
                content = path.read_bytes()
                entry["bytes"] = len(content)
                entry["sha256"] = hashlib.sha256(content).hexdigest()
    return write_json(folder / "sources.json", listed)


@contextmanager
def served(folder: Path):
    """Serve a mirror; yields the environment that points at it."""
    photographs = folder / "photographs"
    if not photographs.exists():
        photographs.symlink_to(folder / "v1")
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sources = write_sources(folder, f"http://127.0.0.1:{server.server_port}")
        yield {"VQA_SOURCES": str(sources), "TORCH_HOME": str(folder / "torch")}
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


def _zip(path: Path, members: Iterable[Path], root: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for member in sorted(members):
            archive.write(member, member.relative_to(root))


def _write_glove(path: Path, release: Path) -> None:
    words = set()
    for file in release.glob("OpenEnded_*_questions.json"):
        words.update(w for q in read_json(file)["questions"] for w in tokenize(q["question"]))
    generator = np.random.default_rng(0)
    lines = [
        f"{word} {' '.join(f'{x:.4f}' for x in generator.normal(size=50))}"
        for word in sorted(words)
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("glove.6B.50d.txt", "\n".join(lines) + "\n")


def _write_encoder(path: Path, folder: Path) -> None:
    subprocess.run([sys.executable, "-c", ENCODER, folder], check=True, capture_output=True)
    with tarfile.open(path, "w:gz") as archive:
        for member in sorted(folder.iterdir()):
            archive.add(member, member.name)


def _write_weights(folder: Path) -> None:
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    state = torchvision.models.resnet18(weights=None).state_dict()
    url = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    torch.save(state, folder / Path(url).name)
