"""Published models as pieces: what they score, and what is refused of a repository."""

import json
import sys

import pytest
import torch
from torch.testing import assert_close

from tests.published import write_published
from vqa_helpers.api import load
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.pretrained import UNKNOWN_LOGIT, own_answers
from vqa_helpers.presets import find_preset
from vqa_helpers.training.inputs import build_model

hf = pytest.importorskip("transformers")

ANSWERS = AnswerVocabulary(("yes", "dark red", "2", "no"))
QUESTIONS = ["What color is the ground?", "is the ground red", "how many?"]
NOBODY = WordVocabulary(())
PIXELS = (256 * torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))).byte()


def built(folder):
    torch.manual_seed(1)
    return build_model(find_preset(f"hf:{folder}").choices, NOBODY, ANSWERS, {}).eval()


def as_its_authors_read(folder) -> dict[str, torch.Tensor]:
    """The photographs and questions, as the model's own processor prepares them."""
    images = hf.AutoImageProcessor.from_pretrained(folder)
    pixels = images(list(PIXELS), do_resize=False, do_pad=False, return_tensors="pt")
    words = hf.AutoTokenizer.from_pretrained(folder)(QUESTIONS, padding=True, return_tensors="pt")
    return {**words, "pixel_values": pixels["pixel_values"]}


@torch.inference_mode()
def test_vilt_scores_the_answers_it_has_learnt_as_its_own_code_does(tmp_path):
    folder = write_published(tmp_path / "vilt", "vilt", ["red", "2", "yes", "4"])
    assert own_answers(f"hf:{folder}") == ("red", "2", "yes", "4")
    model = built(folder)
    assert model.vision.size_px == 32
    logits = model(PIXELS, model.encode(QUESTIONS, NOBODY))
    original = hf.ViltForQuestionAnswering.from_pretrained(folder).eval()
    expected = original(**as_its_authors_read(folder)).logits
    assert_close(logits[:, [0, 2]], expected[:, [2, 1]], rtol=1e-4, atol=1e-5)
    assert torch.equal(logits[:, [1, 3]], torch.full((3, 2), UNKNOWN_LOGIT))
    torch.manual_seed(5)  # whatever is drawn, the same answer to the last bit
    assert torch.equal(model(PIXELS, model.encode(QUESTIONS, NOBODY)), logits)


@torch.inference_mode()
def test_blip_scores_an_answer_by_the_probability_of_writing_it(tmp_path):
    folder = write_published(tmp_path / "blip", "blip")
    assert own_answers(f"hf:{folder}") == ()
    model = built(folder)
    logits = model(PIXELS, model.encode(QUESTIONS, NOBODY))
    original = hf.BlipForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    for row in range(3):
        words = tokenizer([QUESTIONS[row]], return_tensors="pt")
        pixels = as_its_authors_read(folder)["pixel_values"][row : row + 1]
        seen = original.vision_model(pixel_values=pixels).last_hidden_state
        states = original.text_encoder(**words, encoder_hidden_states=seen).last_hidden_state
        for number, answer in enumerate(ANSWERS.answers):
            *written, end = tokenizer(answer)["input_ids"][1:]
            begun, score = [original.decoder_start_token_id], 0.0
            for token in [*written, end]:  # word piece by word piece, nothing padded
                given = {"input_ids": torch.tensor([begun]), "encoder_hidden_states": states}
                step = original.text_decoder(**given).logits[0, -1].log_softmax(0)
                score, begun = score + step[token].item(), [*begun, token]
            assert end == 3 and logits[row, number].item() == pytest.approx(score, abs=1e-4)


def test_it_answers_as_our_models_do(tmp_path):
    folder = write_published(tmp_path / "vilt", "vilt", ["red", "2"])
    model = load(f"hf:{folder}", device="cpu")
    photograph = PIXELS[0].permute(1, 2, 0).numpy()
    answers = model.answer(photograph, QUESTIONS[0])
    assert {answer.text for answer in answers} == {"red", "2"} and answers.size_px == 32
    first, again = model.answer([photograph, photograph], [QUESTIONS[0], QUESTIONS[1]])
    assert first.text == answers.text
    assert first[0].probability == pytest.approx(answers[0].probability, abs=1e-6)
    assert model.about == f"hf:{folder}, as it is published, with 2 answers"
    blip = load(f"hf:{write_published(tmp_path / 'blip', 'blip')}", device="cpu")
    assert blip.answers == load(device="cpu").answers  # the list that is ranked
    assert len(blip.answer(photograph, QUESTIONS[0])) == 5


def test_a_name_that_is_nowhere_is_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    line = r"^hf:nobody/nothing: could not be had .*hf:FOLDER"
    with pytest.raises(InputError, match=line) as caught:
        load("hf:nobody/nothing")
    assert "\n" not in str(caught.value)


def test_without_the_library_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"^hf:nobody/at-all needs transformers; pip install"):
        load("hf:nobody/at-all")


def test_another_kind_of_model_is_one_line(tmp_path):
    hf.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is a bert, and no vilt or blip for questions"):
        load(f"hf:{tmp_path}")


def test_weights_that_may_hold_code_are_not_read(tmp_path):
    folder = write_published(tmp_path / "vilt", "vilt", ["red", "2"])
    state = hf.ViltForQuestionAnswering.from_pretrained(folder).state_dict()
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="could not be had .*safetensors"):
        load(f"hf:{folder}")


@pytest.mark.parametrize("kind", ["vilt", "unheard-of"])
def test_code_of_a_repository_never_runs(tmp_path, kind):
    folder = write_published(tmp_path / "vilt", "vilt", ["red", "2"])
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    config = json.loads((folder / "config.json").read_text())
    names = ("AutoConfig", "AutoModel", "AutoTokenizer", "AutoImageProcessor")
    config |= {"auto_map": {name: "own.Own" for name in names}, "model_type": kind}
    (folder / "config.json").write_text(json.dumps(config))
    if kind == "vilt":
        assert len(load(f"hf:{folder}", device="cpu").answers) == 2
    else:
        with pytest.raises(InputError, match="could not be had"):
            load(f"hf:{folder}")
    assert not (tmp_path / "ran").exists()
