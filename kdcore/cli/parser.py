"""The parser of the command line: every command with its options. Usage errors are one sentence."""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from kdcore.errors import KdError
from kdcore.reports.selection import SORTS


class UsageError(KdError):
    """The command line cannot be parsed: an unknown command or option, or a missing or illegal value."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help.")


def build_parser() -> Parser:
    """Return the parser of all commands.

    In its result, `command` is "MODULE.FUNCTION": the function that runs the command, and its module in
    `kdcore.cli`.
    """
    parser = Parser(prog="kdcore", description="Knowledge distillation, measured.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"kdcore {_version()}")
    parser.set_defaults(json=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _datasets(commands)
    _teachers(commands)
    _run(commands)
    _sweep(commands)
    _methods(commands)
    _predict(commands)
    _runs(commands)
    _tune(commands)
    _reproduce(commands)
    _bench(commands)
    return parser


Commands = argparse._SubParsersAction


def _add(commands: Commands[Parser], name: str, help: str, command: str) -> Parser:
    parser = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
    # Without a default here: a nested parser's default would overwrite a `--json` before the nested command's name.
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object and nothing else"
    )
    parser.set_defaults(command=command)
    return parser


def _nested(parser: Parser) -> Commands[Parser]:
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def _datasets(commands: Commands[Parser]) -> None:
    parser = _add(commands, "datasets", "the datasets: which are ready, and what the others need", "datasets.datasets")
    nested = _nested(parser)
    get = _add(nested, "get", "fetch a dataset; continues what was interrupted", "datasets.get")
    get.add_argument("name", metavar="NAME")
    show = _add(nested, "show", "a dataset's classes, their numbers of pictures, and its hash", "datasets.show")
    show.add_argument("name", metavar="NAME")
    add = _add(nested, "add", "add your own pictures as a dataset", "datasets.add")
    add.add_argument("path", metavar="PATH", help="a folder with one folder per class, or parquet files of pictures")
    add.add_argument("--name", metavar="NAME", help="small letters, digits and hyphens (default: from the folder)")
    add.add_argument("--size", type=int, metavar="PIXELS", help="32 or 64 (default: what fits the pictures)")
    remove = _add(nested, "remove", "remove one of your own datasets; its picture files stay", "datasets.remove")
    remove.add_argument("name", metavar="NAME")


def _teachers(commands: Commands[Parser]) -> None:
    parser = _add(commands, "teachers", "the model cards of the teachers on this machine", "teachers.teachers")
    nested = _nested(parser)
    get = _add(nested, "get", "fetch a teacher that torchvision publishes, such as resnet50", "teachers.get")
    get.add_argument("name", metavar="NAME")
    add = _add(nested, "add", "add a network of your own, or of a library, as a teacher", "teachers.add")
    add.add_argument(
        "source", metavar="SOURCE", help="FILE.safetensors with a model card beside it, torchvision:NAME or timm:NAME"
    )
    add.add_argument("--name", metavar="NAME", help="small letters, digits, hyphens, underscores (default: its own)")
    remove = _add(nested, "remove", "take away a teacher that was added, fetched or trained here", "teachers.remove")
    remove.add_argument("name", metavar="NAME")
    show = _add(nested, "show", "one model card in words, of a teacher or a student", "teachers.show")
    show.add_argument("name", metavar="NAME")
    help = "the figures of a teacher or an ensemble on its dataset's test split"
    measure = _add(nested, "measure", help, "teachers.measure")
    measure.add_argument("name", metavar="NAME", help="such as cifar10, or a+b, a+b@4, a+b@logits for an ensemble")
    measure.add_argument("--device", default="auto", help="auto, cpu or cuda")
    measure.add_argument("--out", metavar="FOLDER", help="also write the card with the figures there, as NAME.json")
    train = _add(nested, "train", "rebuild a bundled model from its recipe", "teachers.train")
    train.add_argument("name", metavar="NAME")
    train.add_argument("--out", metavar="FOLDER", help="where the files go (default: models/ under KDCORE_HOME)")
    train.add_argument("--device", default="auto", help="auto, cpu or cuda")


def _run(commands: Commands[Parser]) -> None:
    parser = _add(commands, "run", "train a student with and without its teacher, and compare them", "training.run")
    parser.add_argument("--dataset", required=True, metavar="NAME")
    _add_settings(parser)


def _sweep(commands: Commands[Parser]) -> None:
    help = "the same run over several values of a setting; continues where it was interrupted"
    parser = _add(commands, "sweep", help, "training.sweep")
    parser.add_argument("--dataset", required=True, metavar="NAME")
    vary_help = "a setting and its values, such as temperature=1,2,4; may be given several times, for every combination"
    parser.add_argument("--vary", action="append", required=True, metavar="SETTING=VALUES", help=vary_help)
    _add_settings(parser)


def _methods(commands: Commands[Parser]) -> None:
    _add(commands, "methods", "how a student can learn, and the controls, each with its paper", "methods.methods")


def _add_settings(parser: Parser) -> None:
    parser.add_argument("--teacher", metavar="NAME")
    parser.add_argument(
        "--method", metavar="NAME", help="how the distilled student learns (default: kd); see kdcore methods"
    )
    set_help = "a parameter of the method, such as non_target_weight=4; may be given several times"
    parser.add_argument("--set", action="append", metavar="NAME=VALUE", help=set_help)
    parser.add_argument(
        "--extra-pictures", metavar="NAME", help="pictures without labels: own, or a dataset such as animals64"
    )
    parser.add_argument(
        "--controls", metavar="NAMES", help="further arms, joined by commas, or all; see kdcore methods"
    )
    parser.add_argument("--temperature", type=float, metavar="T", help="of the soft labels, 0.01 to 1,000")
    weight_help = "of the distill loss, 0 to 1; kdcore methods says which methods use it"
    parser.add_argument("--distill-weight", type=float, metavar="W", help=weight_help)
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
    parser = _add(commands, "predict", "a teacher's soft labels of a picture", "teachers.predict")
    parser.add_argument("image", metavar="IMAGE", help="a picture file, or - for standard input")
    parser.add_argument("--teacher", default="photos", metavar="NAME", help="(default: photos)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="above 0 (default: 1)")


def _runs(commands: Commands[Parser]) -> None:
    parser = _add(commands, "runs", "stored runs; without a command, those that the options select", "runs.find")
    for name, metavar in (("dataset", "NAME"), ("teacher", "NAME"), ("student", "MODEL"), ("status", "STATUS")):
        parser.add_argument(f"--{name}", metavar=metavar, help=f"only runs with this {name}")
    parser.add_argument("--tag", metavar="WORD", help="only runs that carry this tag")
    parser.add_argument("--text", default="", metavar="WORDS", help="only runs with all of these words in them")
    parser.add_argument("--sort", default="new", metavar="ORDER", help=f"{', '.join(SORTS)} (default: new)")
    parser.add_argument("--limit", type=int, default=200, metavar="N", help="list at most N runs (default: 200)")
    parser.add_argument("--deleted", action="store_true", help="list deleted runs that can still be restored")
    nested = _nested(parser)

    def add_for_one_run(name: str, help: str, command: str) -> Parser:
        command_parser = _add(nested, name, help, command)
        command_parser.add_argument("id", metavar="ID")
        return command_parser

    add_for_one_run("show", "one run: its settings and its result", "runs.show")
    compare = _add(nested, "compare", "several runs: what differs in their settings and results", "runs.compare")
    compare.add_argument("id", nargs="+", metavar="ID")
    tag = add_for_one_run("tag", "add tags (short words) to a run, or remove them", "runs.tag")
    tag.add_argument("word", nargs="*", metavar="WORD")
    tag.add_argument("--remove", action="append", default=[], metavar="WORD", help="may be given several times")
    rerun = add_for_one_run(
        "rerun", "the same run again with a change; takes the options of kdcore run", "training.rerun"
    )
    rerun.add_argument(
        "--dataset", metavar="NAME", help="another dataset, with its own teacher, student, labels, epochs and recipe"
    )
    _add_settings(rerun)
    add_for_one_run("resume", "go on with a run that was stopped, interrupted or failed", "training.resume")
    export = add_for_one_run("export", "one run as a file for other tools, or to read and print", "runs.export")
    export.add_argument(
        "--format", choices=("json", "csv", "html"), default="json", help="csv holds the curves, html is a report"
    )
    export.add_argument("--out", metavar="FILE", help="write there instead of to standard output")
    export.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    add_for_one_run("delete", "hide a run; it can be restored for some days", "runs.delete")
    add_for_one_run("undelete", "restore a deleted run", "runs.undelete")


def _tune(commands: Commands[Parser]) -> None:
    parser = _add(commands, "tune", "try a grid of recipes for a dataset, judged on validation", "training.tune")
    parser.add_argument("dataset", metavar="DATASET")
    _add_recipe(parser)


def _reproduce(commands: Commands[Parser]) -> None:
    help = "repeat a published experiment and compare the figures; continues where it was stopped"
    parser = _add(commands, "reproduce", help, "reproduce.reproduce")
    parser.add_argument("name", metavar="NAME", help="hinton2015")
    parser.add_argument("--seeds", type=int, default=3, metavar="K", help="number of seeds (default: 3)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda")
    parser.add_argument("--restart", action="store_true", help="delete what was trained before and begin anew")


def _bench(commands: Commands[Parser]) -> None:
    help = "how fast this machine trains, compared with a plain loop and with its peak rate, and how cost grows"
    parser = _add(commands, "bench", help, "bench.bench")
    parser.add_argument("--only", metavar="PARTS", help="some of tutorial,ceiling,sweep,growth (default: all)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="figures are medians of N (default: 5)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda")
    parser.add_argument("--full", action="store_true", help="train the tutorial's job to its end; the result is kept")
    parser.add_argument("--restart", action="store_true", help="delete what an earlier full run kept")


def _version() -> str:
    try:
        return version("dark-knowledge-lab")
    except PackageNotFoundError:
        return "from a checkout that is not installed"
