"""The command that lists methods and controls."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from kdcore.cli import text
from kdcore.cli.answer import Answer


def methods(options: Namespace) -> Answer:
    from kdcore.methods.registry import METHODS
    from kdcore.settings.controls import CONTROLS

    rows = []
    for method in METHODS.values():
        parameters = " ".join(f"{one.name}={one.default}" for one in method.parameters if one.default != "")
        rows.append((method.name, method.sentence, " ".join(method.settings), parameters, method.paper))
    found = text.table(("method", "what the student learns", "settings it uses", "parameters", "paper"), rows)
    controls = text.table(
        ("control", "what is different", "what should come out"),
        [(one.name, one.sentence, one.theory) for one in CONTROLS.values()],
    )
    data = {
        "methods": [method.to_json() for method in METHODS.values()],
        "controls": [asdict(control) for control in CONTROLS.values()],
    }
    return Answer(data, f"{found}\n\n{controls}")
