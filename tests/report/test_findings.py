"""Findings: each follows from the runs, and turns with them."""

from vqa_helpers.report.findings import findings

PIECES = {
    "images": {"piece": "Images", "encoder": "vgg16", "in_loop": False, "trained": "none"},
    "questions": {"piece": "Sentences"},
    "fusion": {"piece": "Concat"},
    "classifier": {"piece": "Classifier", "hidden": [8]},
}


def pieces(**changes):
    return {**PIECES, **changes}


def encoder(name):
    return {**PIECES["images"], "encoder": name}


def said(tmp_path) -> str:
    return "\n".join(findings(tmp_path, "demo"))


def test_no_runs_no_findings(tmp_path) -> None:
    assert findings(tmp_path, "demo") == []


def test_the_best_and_who_cannot_be_told_from_it(write, tmp_path) -> None:
    write("1.e", 0.6, pieces=PIECES)
    write("1.b", 0.59, pieces=PIECES, drawn=7)
    write("1.c", 0.2, pieces=PIECES)
    assert "**1.e** scores highest: **60.0 %**" in said(tmp_path)
    assert "1 of the 2 others cannot be told from it" in said(tmp_path)


def test_a_clear_winner_is_called_one(write, tmp_path) -> None:
    write("1.e", 0.9)
    write("1.b", 0.2)
    assert "better than every other model, question by question" in said(tmp_path)


def test_one_piece_changed(write, tmp_path) -> None:
    write("A_VGG", 0.8, pieces=PIECES)
    write("A_ResNet", 0.4, pieces=pieces(images=encoder("resnet50")))
    line = "Only the network changed, **ResNet50** against **VGG16**: "
    assert f"{line}of 1 pair, 1 is better with VGG16." in said(tmp_path)
    write("A_ResNet", 0.8, pieces=pieces(images=encoder("resnet50")))
    assert f"{line}no difference can be told in the one pair." in said(tmp_path)


def test_two_pieces_changed_say_nothing(write, tmp_path) -> None:
    write("A", 0.8, pieces=PIECES)
    changed = pieces(images=encoder("resnet50"), questions={"piece": "Glove"})
    write("B", 0.4, pieces=changed)
    assert "Only the" not in said(tmp_path)


def test_what_looking_is_worth(write, tmp_path) -> None:
    write("Sees", 0.8, pieces=PIECES)
    write("Blind", 0.6, pieces=pieces(images=None))
    assert "reaches **60.0 %**: 75 % of what the best model gets" in said(tmp_path)
    assert "**20.0 points**" in said(tmp_path)
    write("Sees", 0.5, pieces=PIECES)
    assert "the image is worth nothing" in said(tmp_path)


def test_verdicts_stand_ins_and_memory(write, tmp_path) -> None:
    write("Sees", 0.8, pieces=PIECES)
    write("Other", 0.1, stand_ins=[])
    text = said(tmp_path)
    assert "**1 of 2** models are better than the best blind guess" in text
    assert "**Other** is worse" in text
    assert "1 of 2 models were trained with stand-ins" in text
    assert "learnt by heart" in text
    assert "Hardest are the **number** questions" in text
