"""The command `vqa`: words on a command line become calls of the package.

Each command imports what it needs when it runs, so that `--help` answers at once. Errors are one
line; `--debug` shows where they came from.
"""

import argparse
import logging
import sys

from vqa_helpers.cli import answering, data, results, training
from vqa_helpers.cli.limits import explain, quiet_threads
from vqa_helpers.cli.words import DONE, INTERRUPTED, SOME_FAILED, WRONG_USE
from vqa_helpers.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 some work failed and is named, 2 wrong use."""
    options = _parser().parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
    )
    for noisy in ("PIL", "matplotlib", "h5py", "urllib3", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        with quiet_threads():
            return options.run(options)
    except KeyboardInterrupt:
        print("vqa: interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone
        return DONE
    except InputError as error:
        if options.debug:
            raise
        print(f"vqa: {error}", file=sys.stderr)
        return WRONG_USE
    except (OSError, MemoryError, RuntimeError) as error:
        line = explain(error)
        if options.debug or line is None:
            raise
        print(f"vqa: {line}", file=sys.stderr)
        return SOME_FAILED


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks and debug lines")
    parser = argparse.ArgumentParser(
        prog="vqa",
        description="Visual Question Answering: a photograph and a free question in, an answer out.",
        epilog="Begin with: vqa train Improved_VQA2015_ResNet --data demo",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for room in (data, training, answering, results):
        room.add_commands(commands, common)
    return parser
