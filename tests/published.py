"""Tiny published models, of random weights: what a folder of `hf:FOLDER` holds, made by `transformers`."""

from collections.abc import Sequence
from pathlib import Path

import torch

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] [DEC] what color is the ground how many marks are there ? "
    "red green blue yellow black white yes no 1 2 3 4 dark ##er"
).split()
SMALL = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "initializer_range": 0.2,  # wide enough for photographs and questions to make a difference
}  # fmt: skip


def write_published(
    folder: Path, kind: str, answers: Sequence[str] = (), size_px: int = 32
) -> Path:
    """Write a "vilt" with a layer for some answers, or a "blip", which writes them."""
    import transformers as hf

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    tokenizer = hf.BertTokenizerFast(str(folder / "vocab.txt"))
    if kind == "vilt":
        labels = dict(enumerate(answers)) or {0: "LABEL_0", 1: "LABEL_1"}
        config = hf.ViltConfig(
            **SMALL, vocab_size=len(WORDS), image_size=size_px, patch_size=8, id2label=labels,
            label2id={label: number for number, label in labels.items()},
        )  # fmt: skip
        model, images = hf.ViltForQuestionAnswering(config), hf.ViltImageProcessor()
        torch.nn.init.normal_(model.classifier[-1].bias)
    else:
        text = {
            "vocab_size": len(WORDS), "bos_token_id": 5, "sep_token_id": 3, "pad_token_id": 0,
            "eos_token_id": 3, "encoder_hidden_size": 32,
        }  # fmt: skip
        vision = {"image_size": size_px, "patch_size": 8}
        config = hf.BlipConfig(text_config=SMALL | text, vision_config=SMALL | vision)
        model, images = hf.BlipForQuestionAnswering(config), hf.BlipImageProcessor()
    for part in (model, tokenizer, images):
        part.save_pretrained(folder)
    return folder
