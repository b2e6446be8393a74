"""Controls: further arms of a run, each with one ingredient of distillation removed or replaced, which show what the
gain of distillation depends on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kdcore.errors import ConfigError, UnknownName
from kdcore.teachers.ensemble_names import is_ensemble, parse_name


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        name: its key in the registry `CONTROLS`, and the name of its arm.
        title: its name on pages.
        sentence: how it differs from the distilled arm.
        theory: the result to expect, and why.
        teacher: suffix of the teacher's name, if the control has a teacher trained for it: "smoothed" stands for
            "mnist-smoothed" in a run with the teacher "mnist". Empty if the control needs no teacher but the run's.
    """

    name: str
    title: str
    sentence: str
    theory: str
    teacher: str = ""


CONTROLS: dict[str, Control] = {
    control.name: control
    for control in (
        Control(
            "label-smoothing",
            "Label smoothing",
            "No teacher; every wrong class gets the same small share of the label.",
            "These soft labels hold no knowledge: a gain here needs no teacher.",
        ),
        Control(
            "shuffled",
            "Shuffled within classes",
            "Every picture gets the soft labels of another picture of its class.",
            "What the teacher says about a class stays, what it says about the picture is lost: less than distilled.",
        ),
        Control(
            "permuted",
            "Wrong classes permuted",
            "The soft labels of each picture's wrong classes change places.",
            "The teacher's confidence stays, its dark knowledge is lost: no better than label smoothing.",
        ),
        Control(
            "random-teacher",
            "Random teacher",
            "The teacher's network before it learned anything.",
            "Nothing to learn from it: no better than baseline.",
        ),
        Control(
            "undertrained-teacher",
            "Undertrained teacher",
            "The teacher's network, trained anew for a tenth of its epochs, and for one at least.",
            "It knows less: between baseline and distilled. Yet a teacher that was stopped early can teach better (Cho "
            "and Hariharan 2019).",
            teacher="undertrained",
        ),
        Control(
            "smoothed-teacher",
            "Teacher with label smoothing",
            "The teacher learned with label smoothing, which pulls the pictures of a class together.",
            "Its soft labels say less about the single picture (Müller et al. 2019): less than distilled.",
            teacher="smoothed",
        ),
        Control(
            "unlabelled",
            "Unlabelled pictures",
            "As many other pictures, of any class, with the teacher's soft labels only.",
            "The soft labels say what the hard labels would: as good as distilled.",
        ),
        Control(
            "noise",
            "Pictures of noise",
            "Pictures of noise instead of real ones, with the teacher's soft labels only.",
            "The teacher's answers to noise hardly show what it knows: far below baseline.",
        ),
    )
}


def check_controls(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in the registry's order, without duplicates.

    Raises:
        UnknownName: a name is not in the registry.
        ConfigError: an entry is not a text.
    """
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"Controls are names, such as {next(iter(CONTROLS))}, not {name!r}.")
        if name not in CONTROLS:
            raise UnknownName("control", name, CONTROLS)
    return tuple(name for name in CONTROLS if name in names)


def control_teacher(teacher: str, control: str) -> str:
    """Return the name of the teacher that a control needs: `teacher`, which is the run's own, or the one trained for
    the control, such as "mnist-smoothed". In an ensemble's name, every member is replaced by the one trained for the
    control."""
    suffix = CONTROLS[control].teacher
    if not suffix:
        return teacher
    if not is_ensemble(teacher):
        return f"{teacher}-{suffix}"
    spec = parse_name(teacher)
    return str(replace(spec, members=tuple(f"{member}-{suffix}" for member in spec.members)))
