"""The registry of distillation methods, which define how the distilled student learns.

Every student minimises (1 - w) · hard loss + w · distill loss, where w is the distill weight. A method defines its
distill loss and may add a feature loss, a second student that learns at the same time, or stages. With AdamW only the
ratio of the parts matters, so a paper's "cross-entropy plus eight times the new loss" becomes a distill weight of 8 / 9
with a factor of 1 on the new loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kdcore.errors import ConfigError, UnknownName
from kdcore.methods import entry_losses, stages
from kdcore.methods.feature_losses import build_regressor, check_maps, check_shapes
from kdcore.methods.losses import hard_loss
from kdcore.methods.method import DEFAULT_METHOD, FeatureComparison, Method, Parameter, Value

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.methods.method import Settings

_LAYERS = (
    Parameter("student_layer", "", "path of the student's layer; leave empty to take one that fits"),
    Parameter("teacher_layer", "", "path of the teacher's layer; leave empty to take one that fits"),
)
_INNER_LAYERS = "from a teacher's soft labels and its inner layers"
_EARLIER_STUDENT = "from the soft labels of a student that learned before it"
# For distill losses that match something else than soft labels.
_TEACHER_WEIGHT = "For the distilled student what the teacher says counts for {soft}, the hard label for {hard}."
_PEER_WEIGHT = "For each of the two students the other's soft labels count for {soft}, the hard label for {hard}."

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="kd",
            title="Knowledge distillation",
            sentence="The student matches the teacher's soft labels at a temperature.",
            paper="Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network, section 2",
            distill=entry_losses.kd,
        ),
        Method(
            name="label-smoothing",
            title="Label smoothing",
            sentence="No teacher: every wrong class gets the same small share. What distillation must beat.",
            paper="Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, section 7",
            distill=entry_losses.kd,
            parameters=(Parameter("smoothing", 0.1, "share of the label that is spread over all classes", 0.0, 0.99),),
            distill_weight=0.0,
            settings=(),
            smoothing="smoothing",
            learns_from="from smoothed labels, without a teacher",
            weight_note="",
            taught_by=lambda teacher, parameters: "without a teacher",
        ),
        Method(
            name="standardised-kd",
            title="Logit standardisation",
            sentence="Both networks' logits are brought to mean 0 and spread 1 first, so that only their shape is "
            "matched.",
            paper="Sun et al. 2024, Logit Standardization in Knowledge Distillation, section 4",
            distill=entry_losses.standardised_kd,
            temperature=2.0,
            distill_weight=0.9,
            standardised=True,
        ),
        Method(
            name="dkd",
            title="Decoupled distillation",
            sentence="How sure the teacher is and how it ranks the wrong classes are matched separately, each with its "
            "weight.",
            paper="Zhao et al. 2022, Decoupled Knowledge Distillation, section 3",
            distill=entry_losses.dkd,
            parameters=(
                Parameter("target_weight", 1.0, "weight of matching how sure the teacher is of the hard label"),
                Parameter("non_target_weight", 8.0, "weight of matching its soft labels among the wrong classes"),
            ),
            distill_weight=0.5,
            weight_note=_TEACHER_WEIGHT,
        ),
        Method(
            name="dist",
            title="Relations of probabilities",
            sentence="Only correlations with the teacher's probabilities count, within a picture and within a class.",
            paper="Huang et al. 2022, Knowledge Distillation from A Stronger Teacher, sections 3.2 and 3.3",
            distill=entry_losses.dist,
            parameters=(
                Parameter("between_weight", 2.0, "weight of each picture's correlation over the classes"),
                Parameter("within_weight", 2.0, "weight of each class's correlation over the pictures of a batch"),
            ),
            distill_weight=0.5,
            weight_note=_TEACHER_WEIGHT,
        ),
        Method(
            name="fitnets",
            title="Hints",
            sentence="For the first epochs the student's middle layer imitates the teacher's; then it learns the soft "
            "labels.",
            paper="Romero et al. 2015, FitNets: Hints for Thin Deep Nets, section 2",
            distill=entry_losses.kd,
            parameters=(
                Parameter("hint_share", 0.3, "share of the epochs that only imitate the layer", 0.0, 1.0),
                *_LAYERS,
            ),
            features=FeatureComparison(
                layer="middle",
                loss=entry_losses.hints,
                check=check_shapes,
                build_adapter=build_regressor,
                hint_share="hint_share",
            ),
            learns_from=_INNER_LAYERS,
        ),
        Method(
            name="attention-transfer",
            title="Attention transfer",
            sentence="Besides the soft labels, the student learns where in the picture the teacher is active.",
            paper="Zagoruyko and Komodakis 2017, Paying More Attention to Attention, section 3.1",
            distill=entry_losses.kd,
            parameters=(
                Parameter("attention_weight", 1000.0, "weight of the attention maps' difference", 0.0, 1e6),
                *_LAYERS,
            ),
            features=FeatureComparison(layer="map", loss=entry_losses.attention, check=check_maps),
            learns_from=_INNER_LAYERS,
        ),
        Method(
            name="rkd",
            title="Relations of pictures",
            sentence="Besides the soft labels, the student learns how pictures lie to each other in the teacher's last "
            "layer.",
            paper="Park et al. 2019, Relational Knowledge Distillation, section 3.2",
            distill=entry_losses.kd,
            parameters=(
                Parameter("distance_weight", 25.0, "weight of the distances between pairs of pictures", 0.0, 1e4),
                Parameter("angle_weight", 50.0, "weight of the angles in triples of pictures", 0.0, 1e4),
                *_LAYERS,
            ),
            features=FeatureComparison(layer="embedding", loss=entry_losses.relations),
            learns_from=_INNER_LAYERS,
        ),
        Method(
            name="mutual",
            title="Mutual learning",
            sentence="No teacher: two students that start differently learn from each other's answers.",
            paper="Zhang et al. 2018, Deep Mutual Learning, section 2",
            distill=entry_losses.kd,
            temperature=1.0,
            distill_weight=0.5,
            settings=("temperature", "distill_weight"),
            has_peer=True,
            learns_from="beside a second student, each from the other's soft labels",
            weight_note=_PEER_WEIGHT,
            taught_by=lambda teacher, parameters: "and its peer",
        ),
        Method(
            name="born-again",
            title="Born again",
            sentence="The teacher is a student of the same kind that was trained on the hard labels first.",
            paper="Furlanello et al. 2018, Born-Again Neural Networks, section 3",
            distill=entry_losses.kd,
            parameters=(
                Parameter(
                    "generations", 1.0, "students to train first, each taught by the one before", 1.0, 10.0, whole=True
                ),
            ),
            settings=("temperature", "distill_weight"),
            stages=stages.generations,
            learns_from=_EARLIER_STUDENT,
            taught_by=lambda teacher, parameters: "taught by itself, trained before",
        ),
        Method(
            name="teacher-assistant",
            title="Teacher assistants",
            sentence="The teacher teaches a network of middle size first, and that one teaches the student.",
            paper="Mirzadeh et al. 2020, Improved Knowledge Distillation via Teacher Assistant, section 4",
            distill=entry_losses.kd,
            parameters=(
                Parameter(
                    "assistants", "", "models between teacher and student, separated by commas; empty for one that fits"
                ),
            ),
            stages=stages.assistants,
            learns_from=_EARLIER_STUDENT,
            taught_by=stages.taught_through_assistants,
        ),
        Method(
            name="multi-teacher",
            title="Several teachers",
            sentence="The student matches the soft labels of every member of an ensemble at once.",
            paper="You et al. 2017, Learning from Multiple Teacher Networks, section 3",
            distill=entry_losses.each_member,
            needs_ensemble=True,
            learns_from="from the soft labels of several teachers",
        ),
    )
}


def parameters_by_name() -> dict[str, Parameter]:
    """Return every parameter of any method, in the registry's order. Methods may share one, such as a layer's path."""
    return {one.name: one for method in METHODS.values() for one in method.parameters}


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        UnknownName: there is no such method.
    """
    if name not in METHODS:
        raise UnknownName("method", name, METHODS)
    return METHODS[name]


def method_or_default(name: object) -> Method:
    """The method called `name`; Hinton's if this version does not know it, or if an old run names none."""
    return METHODS.get(str(name), METHODS[DEFAULT_METHOD])


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
        teacher_logits: [B, K], or [B, M, K] if the method needs an ensemble; if w is 0, any finite values.
        hard_labels: int64 [B]; if w is 1, any legal labels.
        settings: "temperature", "distill_weight" (w), "label_smoothing" and the method's numeric parameters.
    """
    weight = settings["distill_weight"]
    hard = hard_loss(student_logits, hard_labels, settings["label_smoothing"])
    return (1 - weight) * hard + weight * method.distill(student_logits, teacher_logits, hard_labels, settings)
