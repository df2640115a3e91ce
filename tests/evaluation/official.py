"""The official accuracy as the published code computes it, annotator by annotator."""

from vqa_helpers.data.text import clean_white_space, normalise, strip_punctuation


def vqa_score(prediction: str, answers: list[str], normaliser: str = "2021") -> float:
    """What the tests hold the package's closed form against."""
    prediction = clean_white_space(prediction)
    if normaliser == "2021":
        answers = [clean_white_space(answer) for answer in answers]
    if len(set(answers)) > 1:
        step = normalise if normaliser == "2021" else strip_punctuation
        answers = [step(answer) for answer in answers]
        prediction = normalise(prediction)
    elif normaliser == "2015":
        prediction = normalise(prediction)
    scores = []
    for left_out in range(len(answers)):
        others = answers[:left_out] + answers[left_out + 1 :]
        scores.append(min(1, sum(other == prediction for other in others) / 3))
    return sum(scores) / len(scores)
