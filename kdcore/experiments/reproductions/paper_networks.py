"""The networks of Hinton's MNIST experiment (Hinton, Vinyals, Dean 2015, section 3), and how they are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kdcore.experiments.reproductions.fitting import NetworkRecipe

THREE = 3  # the class that is missing in one of the transfer sets


@dataclass(frozen=True)
class PaperNetwork:
    """One of the networks that are trained for each seed.

    Attributes:
        name: its name, which its row in the result has too.
        recipe: how it is trained.
        with_soft_labels: whether it learns from the teacher's soft labels.
        classes: the classes in its transfer set.
        corrected_classes: the classes whose output bias is corrected for a second row (`NAME_bias`); empty for no
            second row.
        counts_threes: whether its rows state the share of 3s that are classified correctly.
    """

    name: str
    recipe: NetworkRecipe
    with_soft_labels: bool = False
    classes: tuple[int, ...] = tuple(range(10))
    corrected_classes: tuple[int, ...] = ()
    counts_threes: bool = True


@dataclass(frozen=True)
class Experiment:
    """The whole experiment: the name of a dataset of ten digits, and the networks in the order of their training."""

    dataset: str
    networks: tuple[PaperNetwork, ...]


def make_experiment(
    dataset: str, teacher: NetworkRecipe, student: NetworkRecipe, two_class_student: NetworkRecipe
) -> Experiment:
    """Return the experiment with its five networks.

    Args:
        dataset: name of a dataset of ten digits.
        two_class_student: the student's recipe for the transfer set of two classes, which is smaller.
    """
    return Experiment(
        dataset,
        (
            PaperNetwork("teacher", teacher),
            PaperNetwork("baseline", student),
            PaperNetwork("distilled", student, with_soft_labels=True),
            PaperNetwork("omitted_3", student, True, tuple(k for k in range(10) if k != THREE), (THREE,)),
            PaperNetwork("only_7_8", two_class_student, True, (7, 8), (7, 8), counts_threes=False),
        ),
    )


STUDENT = NetworkRecipe("inkmlp-800-800", epochs=60, batch_size=256, optimizer="adamw", learning_rate=2e-3)
HINTON2015 = make_experiment(
    "mnist",
    teacher=NetworkRecipe(
        "dropoutmlp-1200-1200",
        epochs=200,
        batch_size=512,
        optimizer="sgd",
        learning_rate=0.2,
        max_norm=2.0,
        jitter=2,
    ),
    student=STUDENT,
    two_class_student=replace(STUDENT, epochs=100),
)
