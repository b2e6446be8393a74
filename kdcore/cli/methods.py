"""The command that lists methods and controls."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from kdcore.cli import text
from kdcore.cli.answer import Answer
from kdcore.settings.controls import CONTROLS


def methods(options: Namespace) -> Answer:
    from kdcore.methods.registry import METHODS  # loads torch, which takes seconds

    rows = []
    for method in METHODS.values():
        parameters = " ".join(
            f"{parameter.name}={parameter.default}" for parameter in method.parameters if parameter.default != ""
        )
        rows.append((method.name, method.sentence, " ".join(method.settings), parameters, method.paper))
    methods_table = text.table(("method", "what the student learns", "settings it uses", "parameters", "paper"), rows)
    controls_table = text.table(
        ("control", "what is different", "what should come out"),
        [(control.name, control.sentence, control.theory) for control in CONTROLS.values()],
    )
    data = {
        "methods": [method.to_json() for method in METHODS.values()],
        "controls": [asdict(control) for control in CONTROLS.values()],
    }
    return Answer(data, f"{methods_table}\n\n{controls_table}")
