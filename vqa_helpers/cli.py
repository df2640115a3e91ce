"""The command `vqa`: its options, its help, and how errors are reported.

What a command does is a function of another module (`commands`, `model_commands`, `sweep`),
imported when it runs, so that `--help` is fast.
Errors are one line; `--debug` shows where they come from.
"""

import argparse
import gc
import logging
import sys
from importlib import import_module
from pathlib import Path

from vqa_helpers import __version__, errors
from vqa_helpers.errors import InputError, one_line
from vqa_helpers.files import remedy

_TRAIN = """\
examples:
  vqa train Improved_VQA2015_ResNet --data demo
  vqa train GUSE_VGG --data demo --vision resnet18 --fusion Concatenation
  vqa train GUSE_VGG --data demo --set learning_rate=1e-4,3e-4,1e-3     (one run each, one table)
  vqa train GUSE_VGG --data demo --set fusion.width=512 --set classifier.hidden=[1024,512]
  vqa train GUSE_VGG --data demo --pieces my_pieces.py --fusion MyFusion

--set takes every number of a schedule (learning_rate, batch, epochs, decay, decay_every, step_decay,
clamp, optimiser, loss, accumulate, vision_rate, flip, crop, jitter, precision; schedule=study or
small), and every keyword of a piece (vision.trained, language.hidden, fusion.dropout, …). An unknown
name is an error that suggests the nearest. Several processes or machines:
accelerate launch -m vqa_helpers train …
"""
_SWEEP = """\
For example:
  vqa sweep GUSE_VGG --data demo --out sweep --trials 40 --range learning_rate=1e-4..1e-2:log \\
      --choose fusion=Product,Concatenation,MLB --range fusion.dropout=0.1..0.7

Names are those of `vqa train --set`, and vision, language, fusion and classifier. Settings that a
chosen piece does not have are skipped for it. The same command resumes an interrupted sweep.
"""


_NOISY = ("PIL", "matplotlib", "h5py", "urllib3", "httpx", "asyncio", "onnxscript", "onnx_ir")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 some work failed and is named, 2 wrong use."""
    # A terminal that cannot show a letter gets its number; files are always UTF-8.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has no need of it
            stream.reconfigure(errors="backslashreplace")
    # Importing torch makes half a million objects, which would be gone through again and again.
    gc.set_threshold(50_000)
    options = _parser().parse_args(arguments)
    level = logging.DEBUG if options.debug else logging.INFO
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # What nbformat's validator would import without need: a grammar of internet addresses, 2 s.
    sys.modules.setdefault("rfc3987_syntax", None)
    try:
        module, _, name = options.run.rpartition(".")
        return getattr(import_module(f"vqa_helpers.{module or 'commands'}"), name)(options)
    except KeyboardInterrupt:
        print("vqa: interrupted; the same command goes on from here", file=sys.stderr)
        return errors.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone
        return errors.DONE
    except InputError as error:
        if options.debug:
            raise
        print(f"vqa: {error}", file=sys.stderr)
        return errors.WRONG_USE
    except (OSError, MemoryError, RuntimeError) as error:
        line = _limit_of_the_machine(error)
        if options.debug or line is None:
            raise
        print(f"vqa: {line}; what was finished is kept", file=sys.stderr)
        return errors.SOME_FAILED


def _limit_of_the_machine(error: Exception) -> str | None:
    """A full disk or no memory left, with its remedy; None for any other error."""
    if errors.is_out_of_memory(error):
        return (
            f"the memory does not suffice ({one_line(error, 160)}); choose a smaller --image-size or batch, end "
            "what else uses it, or on a GPU try --device cpu"
        )
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{one_line(error.strerror or error)}; {remedy(error)}"
    return None


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks and debug lines")
    parser = argparse.ArgumentParser(
        prog="vqa",
        description="Visual Question Answering: a photograph and a free question in, an answer out.",
        epilog='Begin with: vqa ask photo.jpg "what is on the table?"\n'
        "            vqa train Improved_VQA2015_ResNet --data demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vqa_helpers {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, help: str, run: str, within=commands, epilog: str = ""):
        made = within.add_parser(
            name, parents=[common], help=help, description=help, epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        made.set_defaults(run=run)
        return made.add_argument

    _add_data(commands, command)
    _add_training(command)
    _add_answering(command)
    _add_results(command)
    return parser


def _add_data(commands, command) -> None:
    data = commands.add_parser("data", help="the datasets: list, download, build, check")
    actions = data.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add_places(add) -> None:
        add("--root", type=Path, default=Path("data"), metavar="DIR",
            help="where downloads and built datasets lie (data)")  # fmt: skip
        add("--sources", type=Path, metavar="FILE",
            help="JSON that replaces the list of public files (VQA_SOURCES)")  # fmt: skip

    def add_network(add) -> None:
        add("--offline", action="store_true", help="fetch nothing; say which file to put where")
        add("--mirror", metavar="URL", help="tried first, by file name (VQA_MIRROR)")

    add = command("list", "list the datasets and the public files", "list_data", actions)
    add_places(add)
    add("--json", action="store_true", help="print JSON instead of tables")

    add = command(
        "download", "download public files: resumed, checked, unpacked", "download_data", actions,
        "For example: vqa data download v1 coco-val2014 glove use",
    )  # fmt: skip
    add("names", nargs="+", metavar="NAME", help="as `vqa data list` names them")
    add_places(add)
    add_network(add)

    add = command(
        "build", "build a named dataset, downloading what it needs", "build_data", actions,
        "For example: vqa data build 100k; vqa data build E --from demo;\n"
        "vqa data build v2 --from FOLDER-WITH-THE-OFFICIAL-FILES",
    )  # fmt: skip
    add("name", help="demo; A, B, C, D, E, 100k: the study's; v1, v2, daquar: the field's")
    add("--from", dest="source", metavar="NAME|DIR", help="build it from this, without downloading")
    add("--out", type=Path, help="the new folder (data/[<source>-]<name>)")
    add("--seed", type=int, default=0, help="of the draw and the splits (0)")
    add("--split", choices=["by-image", "study"], default="by-image",
        help="study: by row, images on both sides, as the study did (by-image)")  # fmt: skip
    add("--no-photographs", action="store_true", help="fetch no images: for question-only models")
    add_places(add)
    add_network(add)

    add = command("check", "list every problem in a dataset folder", "check_data", actions)
    add("folder", type=Path, metavar="DIR", help="any dataset folder, or a file of records")
    add("--json", action="store_true", help="print JSON instead of tables")
    add("--names-only", dest="open", action="store_const", const="names", default="open",
        help="find image files without opening them")  # fmt: skip
    _add_layout(add)

    add = command(
        "convert", "convert a dataset of any layout to the official one", "convert_data", actions,
        "For example: vqa data convert vizwiz vizwiz-vqa\n"
        "             vqa data convert mine.csv mine --columns image=file,question=text,answer=said",
    )  # fmt: skip
    add("folder", type=Path, metavar="DIR", help="a dataset folder, or a file of records")
    add("out", type=Path, metavar="OUT", help="the new folder; images are linked")
    _add_layout(add)


def _add_layout(add) -> None:
    add("--images", type=Path, metavar="DIR",
        help="where the images lie (anywhere below the dataset)")  # fmt: skip
    add("--columns", metavar="NAME=COLUMN,…",
        help="what the columns image, question, answer, question_id of a table are called")  # fmt: skip


def _add_training(command) -> None:
    add = command("features", "compute and store image features, once per image", "features")
    add("--data", required=True, metavar="NAME|DIR", help="the dataset")
    _add_layout(add)
    add("--encoder", default="vgg16", metavar="NAME",
        help="vgg16, resnet18, resnet50, efficientnet_lite0, …lite2, a detector of torchvision, or any of timm (vgg16)")  # fmt: skip
    add("--grid", action="store_true", help="the grid before the pooling, for StoredGrid")
    add("--offline", action="store_true", help="download nothing: packaged weights stand in")
    _add_vision(add)
    _add_executor(add)

    what = "train a preset, as it is or changed, and measure it"
    add = command("train", what, "train", epilog=_TRAIN)
    _add_recipe(add)
    add("--set", action="append", default=[], metavar="NAME=VALUE[,VALUE…]", dest="settings",
        help="any number or keyword; several values train one run each")  # fmt: skip
    add("--out", type=Path, metavar="RUN",
        help="run folder (runs/<dataset>/<name>/<seed>); of several runs, the folder above")  # fmt: skip
    add("--seeds", type=int, default=1, metavar="N",
        help="train N times, from --seed on, and give mean and spread (1)")  # fmt: skip
    add("--zero-shot", action="store_true", help="measure hf:NAME without training it")
    _add_executor(add)

    what = "search for good settings and pieces with optuna, judged on validation"
    add = command("sweep", what, "sweep.sweep", epilog=_SWEEP)
    _add_recipe(add)
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
        help="a number or keyword for all trials")  # fmt: skip
    add("--out", type=Path, required=True, metavar="FOLDER", help="the study, its runs and plots")
    add("--trials", type=int, default=20, metavar="N", help="how many to train in all (20)")
    add("--range", action="append", default=[], metavar="NAME=LOW..HIGH[:log]", dest="ranges",
        help="search a number in this range; log: on a logarithmic scale")  # fmt: skip
    add("--choose", action="append", default=[], metavar="NAME=VALUE,VALUE…", dest="choices",
        help="search a piece or value among these")  # fmt: skip


def _add_recipe(add) -> None:
    add("preset", help="an experiment, such as Improved_VQA2015_VGG, or hf:NAME, a published model")
    add("--data", required=True, metavar="NAME|DIR", help="the dataset")
    _add_layout(add)
    add("--vision", metavar="NAME",
        help="another network (efficientnet_lite0, resnet50, any of timm) or class")  # fmt: skip
    for slot in ("language", "fusion", "classifier"):
        add(f"--{slot}", metavar="CLASS", help=f"another {slot}")
    add("--pieces", type=Path, metavar="FILE.py", help="your own classes; the file is executed")
    add("--epochs", type=int, default=0, help="how long to train (0: the schedule's own)")
    add("--seed", type=int, default=0, help="of weights and batches (0)")
    add("--split-seed", type=int, default=0, metavar="N",
        help="of the splits that have to be cut (0)")  # fmt: skip
    _add_vision(add)
    _add_language(add)
    add("--glove", type=Path, metavar="FILE", help="GloVe text file, .gz or .zip")


def _add_answering(command) -> None:
    run = {"type": Path, "metavar": "RUN", "help": "a finished run"}
    default = "a finished run (default: the model that comes with the package)"
    run_or_shipped = run | {"nargs": "?", "help": default}

    def add_run(add) -> None:
        add("--weights", metavar="FILE", help="if the run's weights file has moved")
        add("--pieces", type=Path, metavar="FILE.py",
            help="your own classes that it uses; the file is executed")  # fmt: skip
        _add_device(add)
        add("--sentence-encoder", type=Path, metavar="DIR",
            help="the sentence encoder, if the run was trained with one from a folder")  # fmt: skip

    add = command("predict", "answer a questions file: results JSON", "model_commands.predict")
    add("run_folder", **run)
    add("--questions", type=Path, required=True, help="official questions JSON")
    add("--images", type=Path, metavar="DIR", help="images anywhere below it")
    add("--out", type=Path, required=True, help="results JSON to write")
    add("--features", type=Path, metavar="DIR",
        help="store the features there (default: in memory only)")  # fmt: skip
    add_run(add)

    add = command(
        "ask", "ask about a photograph", "model_commands.ask",
        epilog='For example: vqa ask photo.jpg "what is on the table?"',
    )  # fmt: skip
    add("run_folder", **run_or_shipped)
    add("image", help="a photograph")
    add("question", nargs="+", help="in quotes, as the shell takes ? for any letter")
    add_run(add)

    add = command(
        "serve", "serve a model: a web page to ask on, and a JSON API", "model_commands.serve",
        epilog="For example: vqa serve; vqa serve runs/demo/GUSE_VGG/0 --blind runs/demo/Question_Only/0",
    )  # fmt: skip
    add("run_folder", **run_or_shipped)
    add("--blind", type=Path, metavar="RUN",
        help="a model that sees no photograph, for comparison (default: the package's, with its model)")  # fmt: skip
    add("--host", default="127.0.0.1", metavar="ADDR",
        help="0.0.0.0: other machines may ask too (127.0.0.1: only this one)")  # fmt: skip
    add("--port", type=int, default=7860, help="0: a free one (7860)")
    add_run(add)

    add = command(
        "why", "explain an answer: which image regions and words counted", "model_commands.why",
        epilog='For example: vqa why runs/demo/GUSE_VGG/0 photo.jpg "what is on the table?"\n'
        "             vqa why runs/demo/GUSE_VGG/0 --data demo     (over a whole split)",
    )  # fmt: skip
    add("run_folder", **run_or_shipped)
    add("image", nargs="?", help="a photograph")
    add("question", nargs="*", help="in quotes, as the shell takes ? for any letter")
    add("--out", type=Path, default=Path("why.png"), help="the picture (why.png)")
    add("--data", metavar="NAME|DIR",
        help="instead of one photograph: how often the answers of a split change when photographs are "
        "swapped, or nouns removed")  # fmt: skip
    add("--split", default="validation", help="of --data (validation)")
    _add_layout(add)
    add("--features", type=Path, default=Path("features"), metavar="DIR",
        help="where features are kept (features)")  # fmt: skip
    add_run(add)

    add = command(
        "export", "export a run: what it needs to answer, a model card, ONNX", "model_commands.export",
        epilog="For example: vqa export runs/demo/GUSE_VGG/0 mine --half\n"
        "             vqa ask mine photo.jpg \"what is on the table?\"",
    )  # fmt: skip
    add("run_folder", **run)
    add("out", type=Path, metavar="DIR", help="the new folder")
    add("--half", action="store_true", help="half floats: half the size")
    add("--license", default="", metavar="NAME",
        help="of the data, for the model card, such as cc-by-4.0")  # fmt: skip
    add("--onnx", action="store_true", help="also write ONNX files of the image and answer side")
    add_run(add)


def _add_results(command) -> None:
    add = command(
        "evaluate", "score a results JSON by the official rules", "evaluate",
        epilog="Without --annotations the results are only checked: whether the evaluation server\n"
        "would accept them.",
    )  # fmt: skip
    add("--questions", type=Path, required=True, help="official questions JSON")
    add("--annotations", type=Path, help="their annotations JSON")
    add("--results", type=Path, required=True, help="question_id and answer")
    add("--normaliser", choices=["2021", "2015"], default="2021",
        help="the official code since 2021-03-11, or before (2021)")  # fmt: skip

    add = command(
        "compare", "compare runs, question by question", "compare",
        epilog="Seeds of one experiment below a folder count as one model:\n"
        "vqa compare runs/demo/GUSE_VGG runs/demo/GUSE_ResNet\n"
        "Every pair is compared; of twenty pairs that do not differ, about one appears to.",
    )  # fmt: skip
    add("runs", type=Path, nargs="+", metavar="RUN", help="a run, or a folder of runs")
    add("--json", action="store_true", help="print JSON, a line a pair, instead of tables")

    add = command("batch", "run notebooks headless", "batch")
    add("--notebooks", type=Path, default=Path("notebooks"), metavar="DIR",
        help="where they are (notebooks)")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="executed notebooks (runs/notebooks)")
    add("--only", metavar="GLOB,GLOB", help="only these, such as 'Improved*'")
    add("--jobs", type=int, default=1, help="how many at a time (1)")
    add("--timeout", type=float, default=3600.0, metavar="SECONDS",
        help="wall-clock limit of each (3600)")  # fmt: skip
    add("--force", action="store_true", help="run finished ones again")
    add("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE",
        help="a parameter of the notebooks, such as DATA=demo")  # fmt: skip
    _add_executor(add)

    add = command("report", "make the results table and the site", "report")
    add("--runs", type=Path, nargs="+", default=[Path("runs")], metavar="DIR",
        help="runs, or folders of runs (runs)")  # fmt: skip
    add("--notebooks", type=Path, metavar="DIR",
        help="executed notebooks, if any (runs/notebooks)")  # fmt: skip
    add("--out", type=Path, default=Path("site"), help="the site's folder (site)")
    add("--table", action="store_true", help="print the results table; build no site")
    add("--format", choices=["markdown", "latex", "csv"], default="markdown",
        help="of the table (markdown)")  # fmt: skip
    add("--figures", type=Path, metavar="DIR",
        help="write the figures of the guides there; build no site")  # fmt: skip
    add("--data", nargs="+", default=[], metavar="NAME|DIR",
        help="datasets that have moved since the runs; for --figures: one (demo)")  # fmt: skip


def _add_device(add) -> None:
    add("--device", default="auto", help="cpu or cuda (default: a GPU if any)")


def _add_vision(add) -> None:
    add("--weights", default="auto", metavar="imagenet|packaged|random|FILE",
        help="of the vision network (default: ImageNet's, in the cache or downloaded; else a "
        "package's; for the demo a package's)")  # fmt: skip
    add("--image-size", type=int, default=0, metavar="PX",
        help="side of the square it sees (default: the network's own)")  # fmt: skip
    add("--features", type=Path, default=Path("features"), metavar="DIR",
        help="where features are kept (features)")  # fmt: skip
    add("--precision", choices=["auto", "float32", "bfloat16"], default="auto",
        help="of matrix products (auto: bfloat16 on a CPU that is faster with it; interrupted work "
        "goes on as it began)")  # fmt: skip
    _add_device(add)


def _add_language(add) -> None:
    add("--offline", action="store_true",
        help="download nothing: packaged stand-ins, which are named; implied by the demo")  # fmt: skip
    add("--sentence-encoder", type=Path, metavar="DIR",
        help="a SavedModel of the Universal Sentence Encoder")  # fmt: skip


def _add_executor(add) -> None:
    add("--executor", choices=["local", "ray"], default="local",
        help="this machine, or a Ray cluster (local)")  # fmt: skip
    add("--address", metavar="ADDR",
        help="of the cluster: ray://HOST:10001, HOST:6379 or auto; local: a small one started here")  # fmt: skip
    add("--workers", type=int, default=0, metavar="N",
        help="of the cluster, at most (one a GPU, without any one a CPU)")  # fmt: skip
