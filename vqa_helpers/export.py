"""Export a trained model: a small folder that answers, a model card, ONNX files.

The folder is a run folder without what only measuring needs; `vqa ask` and `vqa_helpers.load` read
it. The weights of a vision network are included if they are not published.
"""

import shutil
import warnings
from pathlib import Path

import torch
from jinja2 import Template
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.export import Dim

from vqa_helpers.answering import Answerer
from vqa_helpers.api import VISION, load
from vqa_helpers.errors import InputError
from vqa_helpers.files import folder_in_one_step, sha256_of, write_json, write_text
from vqa_helpers.pieces.identity import structure_of
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.pieces.vision import StoredFeatures, VisionEncoder
from vqa_helpers.report.tables import results_table, to_markdown
from vqa_helpers.runs import CARD, CONFIG, METRICS, SPLIT, VOCABULARY, Run, mark_done
from vqa_helpers.training.checkpoint import copy_of, save_model
from vqa_helpers.training.losses import probabilities

IMAGE_SIDE, ANSWER_SIDE = "image.onnx", "answer.onnx"
CARD_TEMPLATE = Path(__file__).with_name("model_card.md")


def export(
    folder: Path, out: Path, *, half: bool = False, onnx: bool = False, license: str = "", **options
) -> Path:
    """Write what a finished run needs to answer, and its card, into a new folder.

    Args:
        half: half floats: half the size, and probabilities that differ in the third digit.
        onnx: also an ONNX file of each side (`write_onnx`).
        license: of the data and what was learnt from them, for the card.
        options: as `api.load` takes them.

    Raises:
        InputError: for a folder that exists, or a model that ONNX cannot hold.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; name a new folder")
    run, answerer = Run(Path(folder)), load(folder, device="cpu", **options)
    config, vision = dict(run.config), answerer.model.vision
    frozen = isinstance(vision, StoredFeatures) and getattr(vision, "trained", "none") == "none"
    with folder_in_one_step(out) as made:
        if onnx:
            write_onnx(made, answerer)
        if frozen and vision.weights not in ("packaged", "imagenet"):
            seeing = VisionEncoder(vision.network, vision.weights).network
            save_file(seeing.state_dict(), made / VISION)
            config["weights_source"] = f"file, sha256 {sha256_of(made / VISION)}"
            vision.standardised = False  # as one with a file's weights; its statistics stay
            config["structure"] = structure_of(answerer.model)
        for name in (VOCABULARY, METRICS, SPLIT):
            shutil.copy(run.folder / name, made / name)
        save_model(made, copy_of(answerer.model.half() if half else answerer.model))
        carried = run.folder / CARD  # of an export; the scores of another need its predictions
        text = carried.read_text(encoding="utf-8") if carried.is_file() else card(run, license)
        write_text(made / CARD, text)
        write_json(made / CONFIG, config)
        mark_done(made)
    return out


def write_onnx(folder: Path, answerer: Answerer) -> None:
    """Write `image.onnx`, pixels (B, 3, S, S) of 0 to 255 to a vector for each, and `answer.onnx`,
    that and questions to the probabilities of all answers, (B, A) in the order of vocabulary.json.

    Questions are word ids (B, T) of one length, which the model's vocabulary gives, or sentence
    vectors (B, S).

    Raises:
        InputError: when the extra packages are missing, or a piece cannot be written.
    """
    try:
        import onnxscript  # noqa: F401  torch's exporter writes with it
    except ImportError:
        raise InputError("ONNX needs onnxscript; pip install onnx onnxscript onnxruntime") from None
    model, size_px = answerer.model.eval(), answerer.config["image_size_px"]
    question = answerer.model.encode(["what is it ?"] * 2, answerer.words)
    inputs, shapes, batch = {}, {}, Dim("B", min=1, max=2**20)
    if model.vision is not None:
        image = torch.zeros(2, 3, size_px, size_px, dtype=torch.uint8)
        side = _image_side(model.vision)
        _write(folder / IMAGE_SIDE, side, {"image": image}, {"image": {0: batch}}, "vector")
        inputs["image"], shapes["image"] = side(image), {0: batch}
    if model.language is not None:
        inputs["question"], shapes["question"] = question[0], {0: batch}
        if not question[0].is_floating_point():
            shapes["question"][1] = Dim("T", min=1, max=2**12)
    side = _AnswerSide(model, answerer.config["loss"]).eval()
    _write(folder / ANSWER_SIDE, side, inputs, shapes, "probabilities")


def _image_side(vision: nn.Module) -> nn.Module:
    """Pixels to what the answer's side is given."""
    if not isinstance(vision, StoredFeatures):
        return _Seen(vision)
    if not vision.stored:
        return vision.encoder
    return VisionEncoder(vision.network, vision.weights, grid=vision.grid).eval()


class _Seen(nn.Module):
    """An own piece of vision, whatever it calls what it is given."""

    def __init__(self, vision: nn.Module) -> None:
        super().__init__()
        self.vision = vision

    def forward(self, image: Tensor) -> Tensor:
        return self.vision(image)


class _AnswerSide(nn.Module):
    """All of a model but the network that sees."""

    def __init__(self, model: VQAModel, loss: str) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, image: Tensor | None = None, question: Tensor | None = None) -> Tensor:
        model = self.model
        if isinstance(model.vision, StoredFeatures):
            image = StoredFeatures.forward(model.vision, image)  # (B, D)
        asked = None if model.language is None else model.language(question)  # (B, Q)
        return probabilities(model.classifier(model.fusion(image, asked)), self.loss)  # (B, A)


def _write(path: Path, side: nn.Module, inputs: dict, shapes: dict, output: str) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):  # of names that torch gives to axes
            program = torch.onnx.export(
                side, kwargs=inputs, dynamic_shapes=shapes, input_names=[*inputs],
                output_names=[output], dynamo=True, verbose=False,
            )  # fmt: skip
    except Exception as error:  # whatever of a model's computation the exporter does not know
        what = str(error.__cause__ or error).strip().split("\n")[0][:200]
        raise InputError(f"{path.name}: the model cannot be written as ONNX ({what})") from None
    program.save(path, external_data=False)


def card(run: Run, license: str = "") -> str:
    """A model card in Hugging Face's form: what it is, its data, its scores, its limits."""
    records = run.config["model"].values()
    scores = results_table(run).set_index("name").T.rename_axis("score")
    template = Template(CARD_TEMPLATE.read_text(encoding="utf-8"), keep_trailing_newline=True)
    return template.render(
        run=run, config=run.config, dataset=Path(run.config["dataset"]).name, license=license,
        own=any("code" in (record or {}) for record in records), scores=to_markdown(scores),
    )  # fmt: skip
