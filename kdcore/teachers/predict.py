"""Ask a teacher for the soft labels of one picture."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kdcore.metrics.soft_labels import none_of_these, soften, superclass_soft_labels

if TYPE_CHECKING:
    from PIL import Image

    from kdcore.teachers.teacher import Teacher


def predict(teacher: Teacher, picture: Image.Image, temperature: float = 1.0) -> dict[str, Any]:
    """A picture's soft labels, as the JSON object of `kdcore predict --json`; `latency_ms` is the time of one pass.

    `superclasses` are summed first and then softened (see `superclass_soft_labels`); they are the classes themselves
    where the teacher has no superclasses.
    """
    images = teacher.prepare(picture)
    start = time.perf_counter()
    logits = teacher.logits(images)[0]
    milliseconds = (time.perf_counter() - start) * 1000
    soft_labels = soften(logits, temperature)
    return {
        "teacher": teacher.name,
        "temperature": temperature,
        "class_names": list(teacher.card.class_names),
        "logits": [float(value) for value in logits],
        "soft_labels": [float(value) for value in soft_labels],
        "superclasses": superclass_soft_labels(logits, teacher.card.superclasses, temperature),
        "none_of_these": none_of_these(logits, teacher.card.none_below),
        "latency_ms": milliseconds,
    }
