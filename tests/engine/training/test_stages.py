"""Stages: students that are trained first and then teach the next."""

from __future__ import annotations

import torch

from kdcore.events import TeacherEpochEnded
from kdcore.networks.inference import predict_logits
from kdcore.networks.registry import build_model
from kdcore.pictures.views import ViewSet
from kdcore.settings.config import make_run_config
from kdcore.settings.stages import event_names
from kdcore.settings.sweeps import points
from kdcore.teachers.load import load_teacher
from kdcore.training.students import Schedule, Student
from tests.engine.unmeasured import PRECISE, Trained


def answers_of(student: Student, state: dict[str, torch.Tensor], views: ViewSet) -> torch.Tensor:
    """Return a trained student's logits for every view of its pictures, computed by a new network, [V, N, K]."""
    images, rows = student.transfer_set.images, student.transfer_set.rows
    network = build_model(student.model, (3, 32, 32), 8)
    network.load_state_dict(state)
    return torch.stack([predict_logits(network, views.apply(images[rows], v), PRECISE) for v in range(len(views))])


def close(told: torch.Tensor | None, said: torch.Tensor) -> None:
    assert told is not None
    torch.testing.assert_close(told.float(), said, atol=1e-2, rtol=2e-3)  # kept in fp16


def test_a_student_born_again_learns_from_the_one_before(trained: Trained) -> None:
    config = trained.run(student="convnet-4", seeds=2, method="born-again", parameters={"generations": 2})
    told, students = [event for event in trained.events if isinstance(event, TeacherEpochEnded)], trained.students()
    assert [(one.teacher, one.epoch) for one in told] == [(f"generation {i}", j) for i in (1, 2) for j in (1, 2)]
    views = Schedule.of(config).views
    for seed in (0, 1):
        first, second, last = (students[arm, seed] for arm in ("generation 1", "generation 2", "distilled"))
        assert first[0].transfer_set.teacher_logits is None and first[0].objective.settings["distill_weight"] == 0.0
        close(second[0].transfer_set.teacher_logits, answers_of(*first, views))
        close(last[0].transfer_set.teacher_logits, answers_of(*second, views))
        assert last[0].objective.settings["distill_weight"] == config.distill_weight
        assert {one[0].model for one in (first, second, last)} == {"convnet-4"}
        assert len({one[0].weights_seed for one in (first, second, last)}) == 3
        assert all(torch.equal(one[0].transfer_set.rows, last[0].transfer_set.rows) for one in (first, second))


def test_an_assistant_stands_between_teacher_and_student(trained: Trained) -> None:
    parameters = {"assistants": "convnet-8, convnet-6"}
    config = trained.run(student="convnet-4", seeds=1, method="teacher-assistant", parameters=parameters)
    students, views = trained.students(), Schedule.of(config).views
    first, second, last = (students[arm, 0] for arm in ("assistant convnet-8", "assistant convnet-6", "distilled"))
    found = first[0].transfer_set
    teacher = load_teacher("creatures")
    said = [teacher.logits(views.apply(found.images[found.rows], view)) for view in range(len(views))]
    close(found.teacher_logits, torch.stack(said))
    close(second[0].transfer_set.teacher_logits, answers_of(*first, views))
    close(last[0].transfer_set.teacher_logits, answers_of(*second, views))
    assert [one[0].model for one in (first, second, last)] == ["convnet-8", "convnet-6", "convnet-4"]
    trained.run(student="mlp-8-6", seeds=1, epochs=1, method="teacher-assistant")
    assert ("assistant mlp-16-12", 0) in trained.students()


def test_no_two_stages_of_a_run_are_told_under_one_name(trained: Trained) -> None:
    parameters = {"assistants": "mlp-9,mlp-9,mlp-7,mlp-9"}
    trained.run("digits", student="mlp-8", seeds=1, epochs=1, method="teacher-assistant", parameters=parameters)
    names = ["assistant mlp-9", "assistant mlp-9 number 2", "assistant mlp-7", "assistant mlp-9 number 3"]
    assert [event.teacher for event in trained.events if isinstance(event, TeacherEpochEnded)] == names
    vary = {"temperature": (1.0, 4.0), "generations": (1.0, 2.0)}
    every = points(make_run_config("digits", method="born-again", vary=vary))
    told = [name for point in every for name in event_names(point)]
    assert len(set(told)) == len(told) == 6 and "generation 2 (temperature=4, generations=2)" in told
