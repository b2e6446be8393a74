"""The benchmark's figures as text for people at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kdcore.cli.text import count, difference, percent
from kdcore.cli.text import table as columns


def table(found: dict[str, Any]) -> str:
    """Return a block of text for every part that was measured, and last the conditions of the measurement."""
    parts = (("tutorial", _tutorial), ("ceiling", _ceiling), ("sweep", _sweep), ("growth", _growth))
    blocks = [block(found[name]) for name, block in parts if found[name] is not None]
    threads = f"{found['threads']} thread{'s' if found['threads'] > 1 else ''}"
    conditions = (
        found["date"],
        found["device"],
        threads,
        found["precision"],
        f"torch {found['torch']}",
        found["system"],
    )
    memory = f"peak memory {found['peak_memory_mb']:.0f} MB"
    blocks.append(f"medians of {found['repeats']}; {memory}; {', '.join(conditions)}")
    if found["sweep"] is not None or found["growth"] is not None:
        blocks[-1] += "\nsweep and growth have as many threads as a run of the queue"
    return "\n\n".join(blocks)


def _tutorial(found: dict[str, Any]) -> str:
    heads = ("tutorial's job", "seconds", "least to most", "accuracy on test")
    rows = []
    for words, name in (("its plain loop", "reference"), ("this engine", "our")):
        low, high = found[f"{name}_range"]
        figures = (f"{found[f'{name}_seconds']:.1f}", f"{low:.1f} to {high:.1f}")
        rows.append((words, *figures, percent(found[f"{name}_accuracy"])))
    timed, kept = found["timed"], found["full_run"]
    lines = [
        columns(heads, rows),
        f"{found['ratio']:.1f} times as fast: {found['epochs']} epochs of {found['pictures']:,} pictures "
        f"({found['dataset']}), the teacher given ({found['teacher']});",
        f"timed on {timed['reference_batches']} steps of the plain loop, {timed['our_steps']} of ours and "
        f"{timed['teacher_pictures']:,} pictures of the teacher's one pass, and scaled",
    ]
    if kept is None:
        lines.append("accuracies: none yet; kdcore bench --only tutorial --full measures them")
    else:
        gain = difference(kept["accuracy_difference"]["mean"], kept["accuracy_difference"]["ci95"])
        lines.append(
            f"accuracies from the full run of {kept['date']} on {kept['hardware']}: one seed, teacher "
            f"{percent(kept['teacher_accuracy'])}, ours minus the plain loop's {gain} points"
        )
    return "\n".join(lines)


def _ceiling(found: dict[str, Any]) -> str:
    heads = ("ceiling", "tera-operations a second", "least to most")
    rates = [(f"training {found['model']}", found["train_tflops"], "training")]
    rates.append((f"one large convolution, {found['precision']}", found["conv_tflops"], "convolution"))
    for precision, rate in found["matmul_tflops_by_precision"].items():
        rates.append((f"one large product, {precision}", rate, f"product {precision}"))
    rows = []
    for words, rate, name in rates:
        low, high = found["tflops_range"][name]
        rows.append((words, f"{rate:.3g}", f"{low:.3g} to {high:.3g}"))
    share = (
        f"{percent(found['share'])} of the convolution's rate, {count(found['images_per_second'])} pictures a second"
    )
    return f"{columns(heads, rows)}\n{share}"


def _sweep(found: dict[str, Any]) -> str:
    return (
        f"sweep: {found['students']} students cost {found['ratio']:.2f} times one ({found['student']}, "
        f"{found['dataset']}, {found['labels']} labels): {_milliseconds(found['one_seconds'])} and "
        f"{_milliseconds(found['all_seconds'])} an epoch"
    )


def _growth(found: Sequence[dict[str, Any]]) -> str:
    heads = ("growth with", "number", "an epoch", "times the first")
    rows = [(row["what"], row["value"], _milliseconds(row["seconds"]), f"{row['relative']:.2f}") for row in found]
    return columns(heads, rows)


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
