"""`vqa data`: list, download, build and check datasets."""

import argparse
import json
import sys
from pathlib import Path

from vqa_helpers.cli.words import DONE, SOME_FAILED, command
from vqa_helpers.errors import InputError


def add_commands(commands, common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""
    data = commands.add_parser("data", help="the datasets: list, download, build, check")
    actions = data.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = command(actions, common, "list", _list, "name the datasets and the public files")
    _add_places(listing)
    listing.add_argument("--json", action="store_true", help="print JSON instead of tables")
    fetch = command(
        actions, common, "download", _download, "fetch public files: resumed, checked, unpacked",
        epilog="For example: vqa data download v1 coco-val2014 glove use",
    )  # fmt: skip
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as `vqa data list` names them")
    _add_places(fetch)
    _add_network(fetch)
    _add_build(actions, common)
    check = command(actions, common, "check", _check, "name every problem of a dataset folder")
    check.add_argument("folder", type=Path, metavar="DIR", help="any dataset folder")
    check.add_argument("--json", action="store_true", help="print JSON instead of tables")
    check.add_argument("--images", choices=["names", "open"], default="open",
                       help="look for image files only, or open each (open)")  # fmt: skip


def _add_build(actions, common: argparse.ArgumentParser) -> None:
    build = command(
        actions, common, "build", _build, "make a named dataset, fetching what it needs",
        epilog="For example: vqa data build 100k; vqa data build E --from demo; "
        "vqa data build v2 --from FOLDER-WITH-THE-OFFICIAL-FILES",
    )  # fmt: skip
    build.add_argument("name", help="demo; A, B, C, D, E, 100k: the study's; v1, v2: the field's")
    build.add_argument("--from", dest="source", metavar="NAME|DIR",
                       help="make it from this instead of downloading")  # fmt: skip
    build.add_argument("--out", type=Path, help="the new folder (data/[<source>-]<name>)")
    build.add_argument("--seed", type=int, default=0, help="of the draw and the splits (0)")
    build.add_argument(
        "--split", choices=["by-image", "study"], default="by-image",
        help="study: by row, images on both sides, as the study did (by-image)",
    )  # fmt: skip
    build.add_argument("--no-photographs", action="store_true",
                       help="fetch no images: for question-only models")  # fmt: skip
    _add_places(build)
    _add_network(build)


def _add_places(made: argparse.ArgumentParser) -> None:
    made.add_argument("--root", type=Path, default=Path("data"), metavar="DIR",
                      help="where downloads and built datasets lie (data)")  # fmt: skip
    made.add_argument("--sources", type=Path, metavar="FILE",
                      help="JSON that replaces the list of public files (VQA_SOURCES)")  # fmt: skip


def _add_network(made: argparse.ArgumentParser) -> None:
    made.add_argument("--offline", action="store_true",
                      help="fetch nothing; say which file to put where")  # fmt: skip
    made.add_argument("--mirror", metavar="URL", help="tried first, by file name (VQA_MIRROR)")


def _list(options: argparse.Namespace) -> int:
    from vqa_helpers.report.datasets import dataset_list, source_list
    from vqa_helpers.report.tables import to_markdown

    datasets = dataset_list(options.root, options.sources)
    sources = source_list(options.root, options.sources)
    if options.json:
        print(json.dumps({"datasets": datasets.to_dict("records"),
                          "sources": sources.to_dict("records")}, indent=1))  # fmt: skip
    else:
        print(to_markdown(datasets), to_markdown(sources), sep="\n")
    return DONE


def _download(options: argparse.Namespace) -> int:
    from vqa_helpers.data.public.download import download
    from vqa_helpers.data.public.sources import read_sources

    sources = read_sources(options.sources)
    chosen = [sources[name] for name in options.names]
    failed = 0
    for source in chosen:
        try:
            folder = download(source, options.root, mirror=options.mirror, offline=options.offline)
        except InputError as error:
            if len(chosen) == 1:
                raise
            print(f"vqa: {error}", file=sys.stderr)
            failed += 1
        else:
            print(folder)
    return SOME_FAILED if failed else DONE


def _build(options: argparse.Namespace) -> int:
    from vqa_helpers.data.build import build
    from vqa_helpers.data.folder import read_folder
    from vqa_helpers.data.release import Fetching

    out = build(
        options.name,
        source=options.source,
        rule=options.split,
        seed=options.seed,
        out=options.out,
        fetching=Fetching(
            root=options.root,
            offline=options.offline,
            mirror=options.mirror,
            sources=options.sources,
            photographs=not options.no_photographs,
        ),
    )
    dataset = read_folder(out)
    print(*dataset.notes, sep="\n", file=sys.stderr)
    print(out)
    lacking = [] if options.source or options.no_photographs else dataset.missing_images()
    if not lacking:
        return DONE
    print(f"vqa: {out}: {len(lacking)} photographs are not here, the first of image {lacking[0]}; "
          "build again to fetch them", file=sys.stderr)  # fmt: skip
    return SOME_FAILED


def _check(options: argparse.Namespace) -> int:
    from vqa_helpers.data.check import check_folder

    check = check_folder(options.folder, images=options.images)
    if options.json:
        print(json.dumps(check.to_json(), indent=1, ensure_ascii=False))
    else:
        print(*check.lines(), sep="\n")
    return SOME_FAILED if check.problems else DONE
