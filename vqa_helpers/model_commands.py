"""The commands that use a trained model: predict, ask, why, serve, export.

As in `commands`, a function takes the parsed options, imports what it needs, and returns the exit code.
"""

import sys
from argparse import Namespace
from pathlib import Path

from vqa_helpers.commands import layout_of, name_some
from vqa_helpers.errors import DONE, SOME_FAILED, InputError


def _load(options: Namespace):  # -> Answerer
    from vqa_helpers.api import load

    return load(
        options.run_folder, device=options.device, weights=options.weights,
        encoder=options.sentence_encoder, own=options.pieces,
        features=getattr(options, "features", None),
    )  # fmt: skip


def predict(options: Namespace) -> int:
    """`vqa predict`."""
    from vqa_helpers.data.formats import holds_results, read_questions, write_results
    from vqa_helpers.data.images import find_images, names_of
    from vqa_helpers.training.image_rows import MOST_UNREADABLE, name_missing

    if options.out.exists() and not options.out.is_file():
        what = "a folder" if options.out.is_dir() else "no file"  # but a pipe, or a device
        raise InputError(f"{options.out}: is {what}; name the file of the results with --out")
    if options.out.resolve() == options.questions.resolve():
        raise InputError(f"{options.out}: holds the questions; name another file with --out")
    if options.out.exists() and not holds_results(options.out):
        raise InputError(f"{options.out}: holds no results; name another file with --out")
    table = read_questions(options.questions)
    answerer = _load(options)
    images, missing, asked = {}, [], table["image_id"].unique()
    if answerer.model.vision is not None:
        if options.images is None:
            raise InputError("the model sees; name the folder of the photographs with --images")
        if not options.images.is_dir():
            raise InputError(f"{options.images}: is no folder; name the photographs with --images")
        names = names_of([table])
        images = find_images(options.images, asked, names=names)
        missing = name_missing(options.images, images, asked, names)
    answers = answerer.predict(table, images, stores=options.features)
    without, unreadable = "its questions are answered without it", len(answerer.unreadable)
    name_some([f"{images[i]}: {why}; {without}" for i, why in answerer.unreadable.items()])
    if unreadable > MOST_UNREADABLE * len(asked):
        raise InputError(
            f"{options.images}: {unreadable} of {len(asked)} images cannot be read; repair them"
        )
    write_results(options.out, table, [row[0].text for row in answers])
    print(options.out)
    return SOME_FAILED if missing or unreadable else DONE


def ask(options: Namespace) -> int:
    """`vqa ask`."""
    _require_question(options.image)
    answerer = _load(options)
    answers = answerer.answer(options.image, " ".join(options.question))
    print(answerer.about, file=sys.stderr)
    print(answers)
    return DONE


def why(options: Namespace) -> int:
    """`vqa why`: of one answer, or over a split."""
    from vqa_helpers.data.folder import open_dataset
    from vqa_helpers.report.tables import to_markdown
    from vqa_helpers.why import changes, reasons

    if options.data and options.image:
        line = "with --data nothing is asked about one photograph; leave this out"
        raise InputError(f"{options.image}: {line}")
    if options.image and not options.question:  # no run was named
        given = str(options.run_folder), [options.image]
        options.run_folder, (options.image, options.question) = None, given
    if options.data:
        dataset = open_dataset(options.data, **layout_of(options))
        if options.split not in dataset.splits:
            raise InputError(
                f"{dataset.folder}: has no split {options.split}; it has {', '.join(dataset.splits)}"
            )
        stores = options.features / dataset.image_source
        print(to_markdown(changes(_load(options), dataset, options.split, stores)))
        return DONE
    if not options.question:
        raise InputError("name a photograph and a question, or a dataset with --data")
    _require_question(options.image)
    if options.out.suffix.lower() not in (".png", ".jpg", ".svg", ".pdf"):
        raise InputError(f"{options.out}: name a picture, in .png, .jpg, .svg or .pdf, with --out")
    if options.out.resolve() == Path(options.image).resolve():
        raise InputError(f"{options.out}: is the photograph; name another picture with --out")
    found = reasons(_load(options), options.image, " ".join(options.question))
    found.figure().savefig(options.out)
    for word, fall in zip(found.words, found.word_drops, strict=True):
        print(f"{100 * fall:+6.1f}  {word}")
    print(options.out)
    return DONE


def _require_question(image: str) -> None:
    """Of two words the first is the photograph: refuse a run there, after which one was forgotten."""
    if Path(image).is_dir():
        line = "is a folder; name a photograph and a question, in quotes, after it"
        raise InputError(f"{image}: {line}")


def serve(options: Namespace) -> int:
    """`vqa serve`."""
    from vqa_helpers.api import SHIPPED, load

    try:
        from vqa_helpers.serve import serve
    except ModuleNotFoundError as error:
        raise InputError(f"the page needs {error.name}; pip install 'vqa-helpers[serve]'") from None
    answerer = _load(options)
    blind = options.blind or (None if options.run_folder else SHIPPED / "blind")
    if blind:
        blind = load(blind, device=options.device, encoder=options.sentence_encoder, own=options.pieces)  # fmt: skip
    serve(answerer, blind, options.host, options.port)
    return DONE


def export(options: Namespace) -> int:
    """`vqa export`."""
    from vqa_helpers.export import export

    out = export(
        options.run_folder, options.out, half=options.half, onnx=options.onnx,
        license=options.license, weights=options.weights, encoder=options.sentence_encoder,
        own=options.pieces,
    )  # fmt: skip
    print(out)
    return DONE
