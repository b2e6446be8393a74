"""The registry of distillation methods, which define how the distilled student learns.

A method's key is its name in configurations and URLs. Every student minimises (1 - w) · hard loss + w · distill loss,
where w is the distill weight. A method defines its distill loss and may add a feature loss, a second student that
learns at the same time, or stages. With AdamW only the ratio of the parts matters, so a paper's "cross-entropy plus
eight times the new loss" becomes a distill weight of 8 / 9 with a factor of 1 on the new loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kdcore.errors import ConfigError, UnknownName
from kdcore.methods.logit_losses import dist_loss, dkd_loss, standardised_loss
from kdcore.methods.losses import Number, distill_loss, hard_loss

Settings = Mapping[str, Number]
DistillLoss = Callable[[Tensor, Tensor, Tensor, Settings], Tensor]
Value = float | str
RUN_SETTINGS = ("teacher", "temperature", "distill_weight")  # settings of a run that some methods ignore


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

    def check(self, method: str, value: object) -> Value:
        """Return `value`, numbers as float, if it is legal.

        Args:
            method: name of the method, for the error message.

        Raises:
            ConfigError: `value` has the wrong type or is out of range; the message says what is legal.
        """
        if isinstance(self.default, str):
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


def _kd(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    return distill_loss(student_logits, teacher_logits, settings["temperature"])


def _standardised(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    return standardised_loss(student_logits, teacher_logits, settings["temperature"])


def _dkd(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    weights = (settings["target_weight"], settings["non_target_weight"])
    return dkd_loss(student_logits, teacher_logits, hard_labels, settings["temperature"], *weights)


def _dist(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    weights = (settings["between_weight"], settings["within_weight"])
    return dist_loss(student_logits, teacher_logits, settings["temperature"], *weights)


def _multi_teacher(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    losses = [distill_loss(student_logits, one, settings["temperature"]) for one in teacher_logits.unbind(1)]
    return sum(losses[1:], losses[0]) / len(losses)


@dataclass(frozen=True)
class Method:
    """A distillation method, one row of the registry.

    Attributes:
        sentence: explains the method to a visitor who does not know it.
        paper: the source, with its section.
        distill: the distill loss as a function of student logits [B, K], teacher logits [B, K], hard labels [B] and the
            settings; "multi-teacher" gets the teacher logits [B, M, K] of the M members of its ensemble.
        temperature, distill_weight: default values from the paper; None means that the dataset's defaults are used.
        uses: what the student learns from besides the hard labels: "teacher" (its logits), "members" (the logits of
            each member of an ensemble), "features" (the teacher's logits and inner layers), "peer" (another student
            that learns at the same time), "stages" (students that are trained before it) or "nothing".
        settings: which of the run's teacher, temperature and distill weight affect the distilled student. A teacher
            that does not is still measured.
    """

    name: str
    title: str
    sentence: str
    paper: str
    parameters: tuple[Parameter, ...] = ()
    distill: DistillLoss = _kd
    temperature: float | None = None
    distill_weight: float | None = None
    uses: str = "teacher"
    settings: tuple[str, ...] = RUN_SETTINGS

    @property
    def has_teacher(self) -> bool:
        """Whether the distilled student learns from the run's teacher, directly or through assistants."""
        return "teacher" in self.settings

    def to_json(self) -> dict[str, Any]:
        parameters = [
            {"name": one.name, "default": one.default, "meaning": one.meaning}
            | ({} if isinstance(one.default, str) else {"low": one.low, "high": one.high, "whole": one.whole})
            for one in self.parameters
        ]
        return {
            "name": self.name,
            "title": self.title,
            "sentence": self.sentence,
            "paper": self.paper,
            "uses": self.uses,
            "settings": list(self.settings),
            "parameters": parameters,
        }


_LAYERS = (
    Parameter("student_layer", "", "path of the student's layer; leave empty to take one that fits"),
    Parameter("teacher_layer", "", "path of the teacher's layer; leave empty to take one that fits"),
)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "kd",
            "Knowledge distillation",
            "The student matches the teacher's soft labels at a temperature.",
            "Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network, section 2",
        ),
        Method(
            "label-smoothing",
            "Label smoothing",
            "No teacher: every wrong class gets the same small share. What distillation must beat.",
            "Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, section 7",
            (Parameter("smoothing", 0.1, "share of the label that is spread over all classes", 0.0, 0.99),),
            distill_weight=0.0,
            uses="nothing",
            settings=(),
        ),
        Method(
            "standardised-kd",
            "Logit standardisation",
            "Both networks' logits are brought to mean 0 and spread 1 first, so that only their shape is matched.",
            "Sun et al. 2024, Logit Standardization in Knowledge Distillation, section 4",
            distill=_standardised,
            temperature=2.0,
            distill_weight=0.9,
        ),
        Method(
            "dkd",
            "Decoupled distillation",
            "How sure the teacher is and how it ranks the wrong classes are matched separately, each with its weight.",
            "Zhao et al. 2022, Decoupled Knowledge Distillation, section 3",
            (
                Parameter("target_weight", 1.0, "weight of matching how sure the teacher is of the hard label"),
                Parameter("non_target_weight", 8.0, "weight of matching its soft labels among the wrong classes"),
            ),
            distill=_dkd,
            distill_weight=0.5,
        ),
        Method(
            "dist",
            "Relations of probabilities",
            "Only correlations with the teacher's probabilities count, within a picture and within a class.",
            "Huang et al. 2022, Knowledge Distillation from A Stronger Teacher, sections 3.2 and 3.3",
            (
                Parameter("between_weight", 2.0, "weight of each picture's correlation over the classes"),
                Parameter("within_weight", 2.0, "weight of each class's correlation over the pictures of a batch"),
            ),
            distill=_dist,
            distill_weight=0.5,
        ),
        Method(
            "fitnets",
            "Hints",
            "For the first epochs the student's middle layer imitates the teacher's; then it learns the soft labels.",
            "Romero et al. 2015, FitNets: Hints for Thin Deep Nets, section 2",
            (Parameter("hint_share", 0.3, "share of the epochs that only imitate the layer", 0.0, 1.0), *_LAYERS),
            uses="features",
        ),
        Method(
            "attention-transfer",
            "Attention transfer",
            "Besides the soft labels, the student learns where in the picture the teacher is active.",
            "Zagoruyko and Komodakis 2017, Paying More Attention to Attention, section 3.1",
            (Parameter("attention_weight", 1000.0, "weight of the attention maps' difference", 0.0, 1e6), *_LAYERS),
            uses="features",
        ),
        Method(
            "rkd",
            "Relations of pictures",
            "Besides the soft labels, the student learns how pictures lie to each other in the teacher's last layer.",
            "Park et al. 2019, Relational Knowledge Distillation, section 3.2",
            (
                Parameter("distance_weight", 25.0, "weight of the distances between pairs of pictures", 0.0, 1e4),
                Parameter("angle_weight", 50.0, "weight of the angles in triples of pictures", 0.0, 1e4),
                *_LAYERS,
            ),
            uses="features",
        ),
        Method(
            "mutual",
            "Mutual learning",
            "No teacher: two students that start differently learn from each other's answers.",
            "Zhang et al. 2018, Deep Mutual Learning, section 2",
            temperature=1.0,
            distill_weight=0.5,
            uses="peer",
            settings=("temperature", "distill_weight"),
        ),
        Method(
            "born-again",
            "Born again",
            "The teacher is a student of the same kind that was trained on the hard labels first.",
            "Furlanello et al. 2018, Born-Again Neural Networks, section 3",
            (
                Parameter(
                    "generations", 1.0, "students to train first, each taught by the one before", 1.0, 10.0, whole=True
                ),
            ),
            uses="stages",
            settings=("temperature", "distill_weight"),
        ),
        Method(
            "teacher-assistant",
            "Teacher assistants",
            "The teacher teaches a network of middle size first, and that one teaches the student.",
            "Mirzadeh et al. 2020, Improved Knowledge Distillation via Teacher Assistant, section 4",
            (
                Parameter(
                    "assistants", "", "models between teacher and student, separated by commas; empty for one that fits"
                ),
            ),
            uses="stages",
        ),
        Method(
            "multi-teacher",
            "Several teachers",
            "The student matches the soft labels of every member of an ensemble at once.",
            "You et al. 2017, Learning from Multiple Teacher Networks, section 3",
            distill=_multi_teacher,
            uses="members",
        ),
    )
}


# Names of the parameters whose value is a text and must not be converted to a number.
TEXT_PARAMETERS = frozenset(
    one.name for method in METHODS.values() for one in method.parameters if isinstance(one.default, str)
)


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        UnknownName: there is no such method.
    """
    if name not in METHODS:
        raise UnknownName("method", name, METHODS)
    return METHODS[name]


def check_parameters(method: Method, given: Mapping[str, object]) -> tuple[tuple[str, Value], ...]:
    """Check the given parameters of a method and complete them with defaults; returns (name, value) of all.

    Raises:
        ConfigError: the method has no parameter of a given name, or a value is not legal.
    """
    known = {one.name: one for one in method.parameters}
    for name in given:
        if name not in known:
            raise ConfigError(
                f"The method {method.name} has no parameter {name!r}; it has: {', '.join(known) or 'none'}."
            )
    return tuple((name, one.check(method.name, given.get(name, one.default))) for name, one in known.items())


def total_loss(
    method: Method, student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings
) -> Tensor:
    """(1 - w) · hard loss + w · distill loss, a scalar in nats.

    Args:
        student_logits: [B, K].
        teacher_logits: [B, K], or [B, M, K] for "multi-teacher"; if w is 0, any finite values.
        hard_labels: int64 [B]; if w is 1, any legal labels.
        settings: "temperature", "distill_weight" (w), "label_smoothing" and the method's numeric parameters.
    """
    weight = settings["distill_weight"]
    hard = hard_loss(student_logits, hard_labels, settings["label_smoothing"])
    return (1 - weight) * hard + weight * method.distill(student_logits, teacher_logits, hard_labels, settings)
