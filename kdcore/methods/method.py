"""What a distillation method is: the fields of an entry in the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdcore.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.methods.losses import Number
    from kdcore.methods.stages import Stage, StageInputs
    from kdcore.networks.features import Kind

    Settings = Mapping[str, Number]
    Shape = tuple[int, ...]  # of the features of one picture: (C, h, w) or (C,)
    DistillLoss = Callable[[Tensor, Tensor, Tensor, Settings], Tensor]
    FeatureLossFunction = Callable[[Tensor, Tensor, Settings], Tensor]

Value = float | str
DEFAULT_METHOD = "kd"  # Hinton's, by which a run learns that names no method
SOFT_SETTINGS = ("temperature", "distill_weight")  # settings of the distill loss; a method may have its own defaults
RUN_SETTINGS = ("teacher", *SOFT_SETTINGS)  # settings of a run that some methods ignore


@dataclass(frozen=True)
class Parameter:
    """A parameter of a method: a number with its legal range, or a text such as the path of a layer.

    Attributes:
        default: its type decides whether the parameter is a number or a text.
        meaning: shown to visitors.
        low, high: range of a number, both ends included.
        whole: whether the number must be a whole number.
    """

    name: str
    default: Value
    meaning: str
    low: float = 0.0
    high: float = 1000.0
    whole: bool = False

    @property
    def is_text(self) -> bool:
        return isinstance(self.default, str)

    @property
    def is_share(self) -> bool:
        """Whether the parameter is a share of a whole: a number of which no value is below 0 or above 1."""
        return not self.is_text and self.low >= 0 and self.high <= 1

    def check(self, method: str, value: object) -> Value:
        """Return `value`, numbers as float, if it is legal.

        Args:
            method: name of the method, for the error message.

        Raises:
            ConfigError: `value` has the wrong type or is out of range; the message says what is legal.
        """
        if self.is_text:
            if isinstance(value, str) and len(value) <= 200:
                return value
            raise ConfigError(f"The {self.name} of {method} must be a text of at most 200 letters, not {value!r}.")
        number = isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        if number and not (self.whole and value % 1):  # type: ignore[operator]
            return float(value)  # type: ignore[arg-type]
        kind = "a whole number" if self.whole else "a number"
        raise ConfigError(
            f"The {self.name} of {method} must be {kind} from {self.low:g} to {self.high:g}, not {value!r}."
        )

    def to_json(self) -> dict[str, Any]:
        row = {"name": self.name, "default": self.default, "meaning": self.meaning}
        return row if self.is_text else {**row, "low": self.low, "high": self.high, "whole": self.whole}


@dataclass(frozen=True)
class FeatureComparison:
    """How a method compares a layer of the student with a layer of the teacher.

    The paths of the two layers are the method's parameters "student_layer" and "teacher_layer".

    Attributes:
        layer: the kind of layer that is compared where the run names none.
        loss: the weighted feature loss as a function of the student's features, the teacher's features (both [B, C, h,
            w] or [B, C]) and the settings; a scalar. It is added to the loss on logits.
        check: raises `ConfigError` if layers of these two shapes cannot be compared; None if any two can.
        build_adapter: makes, from the two shapes, a module that maps the student's features to the teacher's. It is
            trained along with the student, and `loss` gets its output. None if the features are compared as they are.
        hint_share: name of the parameter that says during which share of the epochs the student minimises the feature
            loss alone; afterwards it minimises the loss on logits alone. "" if it minimises their sum all the time.
    """

    layer: Kind
    loss: FeatureLossFunction
    check: Callable[[Shape, Shape], None] | None = None
    build_adapter: Callable[[Shape, Shape], nn.Module] | None = None
    hint_share: str = ""


def taught_by_teacher(teacher: str, parameters: Mapping[str, Any]) -> str:
    return f"taught by {teacher}"


@dataclass(frozen=True, kw_only=True)
class Method:
    """A distillation method, one row of the registry.

    A method that needs more than one teacher's logits says so in `needs_ensemble`, `features`, `has_peer` or `stages`.

    Attributes:
        name: its key in the registry, in configurations and in URLs.
        sentence: explains the method to a visitor who does not know it.
        paper: the source, with its section.
        distill: the distill loss as a function of student logits [B, K], teacher logits [B, K], hard labels [B] and the
            settings; a method that needs an ensemble gets the teacher logits [B, M, K] of its M members.
        temperature, distill_weight: default values from the paper; None means that the dataset's defaults are used.
        settings: which of the run's teacher, temperature and distill weight affect the distilled student. A teacher
            that does not is still measured.
        needs_ensemble: whether the student learns from the logits of each member of an ensemble.
        features: how a layer of the student is compared with one of the teacher; None if no layers are.
        has_peer: whether a second student learns at the same time, each from the other's logits.
        stages: which students are trained before the distilled one, which then learns from the last of them; None if
            there are none.
        smoothing: name of the parameter that replaces the label smoothing of the hard loss, for a method that has only
            a hard loss; else "".
        standardised: whether each picture's logits are brought to mean 0 and standard deviation 1 before they are
            softened, which the page that shows soft labels does too.
        learns_from: ends the sentence "The same small student learns twice: from hard labels, and ...".
        weight_note: a sentence with the weights of the two losses, `soft` and `hard`; "" for a method without a distill
            weight.
        taught_by: words of a report that say who teaches the student, from the teacher's name and the method's
            parameters.
    """

    name: str
    title: str
    sentence: str
    paper: str
    distill: DistillLoss
    parameters: tuple[Parameter, ...] = ()
    temperature: float | None = None
    distill_weight: float | None = None
    settings: tuple[str, ...] = RUN_SETTINGS
    needs_ensemble: bool = False
    features: FeatureComparison | None = None
    has_peer: bool = False
    stages: Callable[[StageInputs], tuple[Stage, ...]] | None = None
    smoothing: str = ""
    standardised: bool = False
    learns_from: str = "from a teacher's soft labels"
    weight_note: str = "For the distilled student the soft labels count for {soft}, the hard label for {hard}."
    taught_by: Callable[[str, Mapping[str, Any]], str] = taught_by_teacher

    @property
    def has_teacher(self) -> bool:
        """Whether the distilled student learns from the run's teacher, directly or through assistants."""
        return "teacher" in self.settings

    @property
    def learns_alone(self) -> bool:
        """Whether the distilled student learns from the hard labels only."""
        return not (self.has_teacher or self.has_peer or self.stages)

    @property
    def needs_logits_only(self) -> bool:
        """Whether the student learns from one teacher's logits and nothing else."""
        return self.uses == "teacher"

    @property
    def uses(self) -> str:
        """What the student learns from besides the hard labels, in one word: "teacher" (its logits), "members" (the
        logits of each member of an ensemble), "features" (the teacher's logits and inner layers), "peer" (another
        student that learns at the same time), "stages" (students that are trained before it) or "nothing"."""
        kinds = {
            "nothing": self.learns_alone,
            "members": self.needs_ensemble,
            "features": self.features is not None,
            "peer": self.has_peer,
            "stages": self.stages is not None,
        }
        return next((kind for kind, holds in kinds.items() if holds), "teacher")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "sentence": self.sentence,
            "paper": self.paper,
            "uses": self.uses,
            "settings": list(self.settings),
            "parameters": [one.to_json() for one in self.parameters],
        }
