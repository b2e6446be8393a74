"""What can be typed: every command with its options, and one sentence for what cannot."""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from kdcore.errors import KdError


class UsageError(KdError):
    """A command line that is not understood."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help.")


def build_parser() -> Parser:
    """The parser of all commands; `command` in its result names the function that does it."""
    parser = Parser(prog="kdcore", description="Knowledge distillation, measured.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"kdcore {_version()}")
    parser.set_defaults(json=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _datasets(commands)
    _teachers(commands)
    _run(commands)
    _predict(commands)
    _runs(commands)
    _tune(commands)
    return parser


Commands = argparse._SubParsersAction


def _add(commands: Commands[Parser], name: str, help: str, command: str) -> Parser:
    parser = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
    # Without a default of its own, so that it may stand before or after a nested command's name.
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object and nothing else"
    )
    parser.set_defaults(command=command)
    return parser


def _nested(parser: Parser) -> Commands[Parser]:
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def _datasets(commands: Commands[Parser]) -> None:
    parser = _add(commands, "datasets", "which datasets are ready, and what the others would take", "datasets")
    get = _add(_nested(parser), "get", "fetch a dataset", "datasets_get")
    get.add_argument("name", metavar="NAME")


def _teachers(commands: Commands[Parser]) -> None:
    parser = _add(commands, "teachers", "the model cards of the teachers on this machine", "teachers")
    train = _add(_nested(parser), "train", "rebuild a bundled model from its recipe", "teachers_train")
    train.add_argument("name", metavar="NAME")
    train.add_argument("--out", metavar="FOLDER", help="where the files go (default: models/ under KDCORE_HOME)")
    train.add_argument("--device", default="auto", help="auto, cpu or cuda")


def _run(commands: Commands[Parser]) -> None:
    parser = _add(commands, "run", "train a student with and without its teacher, and compare them", "run")
    parser.add_argument("--dataset", required=True, metavar="NAME")
    parser.add_argument("--teacher", metavar="NAME")
    parser.add_argument("--method", metavar="NAME", help="how the distilled student learns (default: kd)")
    parser.add_argument("--temperature", type=float, metavar="T", help="of the soft labels, above 0")
    parser.add_argument("--distill-weight", type=float, metavar="W", help="of the distill loss, 0 to 1")
    _add_recipe(parser)
    parser.add_argument("--batch-size", type=int, metavar="N", help="pictures a step")
    parser.add_argument("--learning-rate", type=float, metavar="R", help="of all arms")
    parser.add_argument("--weight-decay", type=float, metavar="D", help="of all arms")
    parser.add_argument("--label-smoothing", type=float, metavar="S", help="of the hard loss, in all arms")
    parser.add_argument("--epochs", type=int, metavar="E", help="passes over the labelled pictures")


def _add_recipe(parser: Parser) -> None:
    parser.add_argument("--student", metavar="MODEL", help='for example "convnet-16" or "mlp-128-128"')
    parser.add_argument("--labels", type=int, metavar="N", help="training pictures that every arm gets")
    parser.add_argument("--seeds", type=int, metavar="K", help="number of seeds (default: 5)")
    parser.add_argument("--device", metavar="NAME", help="auto, cpu or cuda")


def _predict(commands: Commands[Parser]) -> None:
    parser = _add(commands, "predict", "a teacher's soft labels of a picture", "predict")
    parser.add_argument("image", metavar="IMAGE", help="a picture file, or - for standard input")
    parser.add_argument("--teacher", default="animals", metavar="NAME", help="(default: animals)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="above 0 (default: 1)")


def _runs(commands: Commands[Parser]) -> None:
    parser = _add(commands, "runs", "the runs in the store, newest first", "runs")
    nested = _nested(parser)
    show = _add(nested, "show", "one run: what it was told and what came out", "runs_show")
    show.add_argument("id", metavar="ID")
    export = _add(nested, "export", "one run with its curves, as a file for other tools", "runs_export")
    export.add_argument("id", metavar="ID")
    export.add_argument("--format", choices=("json", "csv"), default="json", help="csv holds the curves only")
    export.add_argument("--out", metavar="FILE", help="write there instead of to standard output")


def _tune(commands: Commands[Parser]) -> None:
    parser = _add(commands, "tune", "the grid on which a dataset's recipe was chosen, on validation", "tune")
    parser.add_argument("dataset", metavar="DATASET")
    _add_recipe(parser)


def _version() -> str:
    try:
        return version("dark-knowledge-lab")
    except PackageNotFoundError:
        return "from a checkout that is not installed"
