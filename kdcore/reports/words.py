"""The sentences of a report: what a run found, how it was measured, and how to repeat it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kdcore.methods.method import DEFAULT_METHOD, SOFT_SETTINGS
from kdcore.metrics.divergence import Divergence, divergences_in_words, divergences_of
from kdcore.metrics.few_pictures import ECE_BINS, FEWEST_PICTURES, PICTURES_A_BIN, ece_bins
from kdcore.reports.comparison import claim_counts, claims_in_words
from kdcore.settings.controls import CONTROLS
from kdcore.settings.describe import own_point, setting_text

if TYPE_CHECKING:
    from kdcore.methods.method import Method
    from kdcore.store.rows import RunRow


def headline(result: Mapping[str, Any]) -> str:
    """Return what may be claimed from a run, in one sentence: the verdict of its result, "" without one.

    For a sweep it counts the settings with each claim instead, because the verdict belongs to one point only.
    """
    texts = {
        "distilled": "distilled is better in {k} of {n} settings",
        "baseline": "the baseline is better in {k} of {n} settings",
        "none": "no difference can be claimed in {k} of {n} settings",
    }
    if outcome := claims_in_words(claim_counts(result), texts):
        return f"{outcome}."
    return str((result.get("verdict") or {}).get("sentence") or "")


def diverged_note(diverged: Iterable[Divergence]) -> str:
    """Return a sentence about the students of a run that diverged."""
    return (
        f"Diverged: {divergences_in_words(diverged)}. Their loss, weights or logits became infinite or not a number, "
        "and an arm of which a student diverged has no figures."
    )


def own_point_words(config: Mapping[str, Any]) -> str:
    """Return words for the point that a sweep's own figures belong to, such as "temperature 4, labels 100"; else ""."""
    return ", ".join(f"{name.replace('_', ' ')} {setting_text(value)}" for name, value in own_point(config).items())


def measurement_paragraphs(row: RunRow) -> list[str]:
    """Return the paragraphs that say how a run was measured."""
    config, result = row.config, row.result or {}
    seeds = len(config["seeds"])
    words = [
        f"Both students have the same architecture ({config['student']}) and were trained {seeds} "
        f"time{'s' if seeds != 1 else ''} each, side by side: same initial weights, same {config['labels']} labelled "
        f"pictures in the same order, same views, same optimiser, {config['epochs']} epochs. The baseline learned from "
        f"hard labels. {_distilled(config)}",
        "Validation pictures were split from the training pictures. The test pictures were read once, at the end, and "
        "nothing was chosen on them.",
    ]
    if seeds > 1 and has_too_few_pictures(result):
        words.append(
            f"Fewer than {FEWEST_PICTURES} test pictures give no interval for a student, and without one nothing can "
            "be claimed; the teacher, one fixed model, has a Wilson interval over pictures."
        )
    elif seeds > 1:
        words.append(
            f"Intervals are 95 %: Student's t over {seeds} seeds ({seeds - 1} degree{'s' if seeds > 2 else ''} of "
            "freedom) with the sampling variance of the test pictures added; the teacher, one fixed model, has a "
            "Wilson interval over pictures." + (" They hold for this one teacher." if has_teacher(config) else "")
        )
    else:
        words.append("One seed gives no interval for a student, and without one nothing can be claimed.")
    if result:
        words.append(
            f"{_calibration(result)} Times are measured after warm-up, all models in "
            f"turn, on {result.get('device', 'its device')} ({result.get('precision', 'fp32')}); the run took "
            f"{result.get('seconds', 0) or 0:.0f} s."
        )
    if extra := config.get("extra_pictures"):
        words.insert(1, _extra_pictures(str(extra), result.get("extra_pictures")))
    if diverged := divergences_of(result):
        words.append(diverged_note(diverged))
    if any(name in CONTROLS for name in config.get("controls") or ()):
        words.insert(1, "The controls are students of the same kind; their table says what is different for each.")
    if config.get("vary"):
        at = own_point_words(config)
        words.insert(1, f"All figures outside the sweep's table belong to one of its points: {at}.")
    if "posterior" in (result.get("arms") or {}):
        words.insert(1, "A third student, posterior, was taught by the true posterior: the best teacher there can be.")
    if result.get("bayes_accuracy") is not None:
        words.append(
            "The ceiling is the Bayes classifier given the traits that the pictures were drawn from; the pictures "
            "themselves allow somewhat less."
        )
    return words


def _extra_pictures(extra: str, count: int | None) -> str:
    """Return a sentence about a run's extra pictures; `count` is their number, None if the run has no result."""
    many = "extra pictures" if count is None else f"{count} extra pictures"
    return (
        f"The distilled student learned from the teacher's soft labels alone, on its labelled pictures and on {many} "
        f"without labels ({extra}). The baseline saw its labelled pictures more often, so that both took as many steps."
    )


def has_too_few_pictures(result: Mapping[str, Any]) -> bool:
    """Return whether a result has no intervals over its several seeds, because its test pictures are too few."""
    difference = result.get("paired_difference") or {}
    return (
        len(difference.get("per_seed") or ()) > 1 and difference.get("mean") is not None and not difference.get("ci95")
    )


def _calibration(result: Mapping[str, Any]) -> str:
    """Return a sentence that says how the calibration error was measured."""
    bins = ece_bins(
        result.get("test_size", ECE_BINS * PICTURES_A_BIN)
    )  # results without a size are of large test splits
    if not bins:
        return f"ECE is not measured on fewer than {PICTURES_A_BIN} test pictures."
    groups = f"{bins} bins of equal mass" if bins > 1 else "all pictures in one bin, because they are few"
    return f"ECE is measured at T = 1, {groups}, debiased."


def taught_by(config: Mapping[str, Any]) -> str:
    """Return words for a heading that say who teaches the distilled student, such as "taught by animals"."""
    method, teacher, vary = _run_method(config), config["teacher"], config.get("vary") or {}
    if "method" in vary:
        return "taught in several ways"
    if "teacher" in vary:
        teacher = "several teachers"
    return method.taught_by(teacher, config.get("parameters") or {})


def agreement_with(config: Mapping[str, Any]) -> str:
    """Return words for the network with which the students' agreement is measured."""
    return "the teacher" if has_teacher(config) else f"{config['teacher']}, which taught none of them"


def has_teacher(config: Mapping[str, Any]) -> bool:
    """Return whether the run's teacher took part in training, directly or through teacher assistants."""
    return _run_method(config).has_teacher


def _run_method(config: Mapping[str, Any]) -> Method:
    """Return the run's method; Hinton's (kd) if this version does not know the one that the run names."""
    from kdcore.methods.registry import method_or_default  # loads torch, which takes seconds

    return method_or_default(config.get("method"))


def unused_settings(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the settings among temperature and distill weight that the run's method does not use."""
    return tuple(name for name in SOFT_SETTINGS if name not in _run_method(config).settings)


def _distilled(config: Mapping[str, Any]) -> str:
    """Return a sentence that says what the distilled student learned from."""
    method = _run_method(config)
    at = f"temperature {config['temperature']:g} and distill weight {config['distill_weight']:g}"
    if method.name == DEFAULT_METHOD:
        return f"The distilled student learned from the teacher's soft labels too, at {at}."
    sentence = f"The distilled student learned by “{method.title}” ({method.paper}): {method.sentence}"
    return f"{sentence} It learned at {at}." if method.settings else sentence


def repeat_notes(row: RunRow) -> list[str]:
    """Return sentences with what the command line cannot express: unusual seeds, and the hash of the pictures."""
    seeds, notes = list(row.config["seeds"]), []
    if seeds != list(range(len(seeds))):
        notes.append(
            f"The seeds of this run were {', '.join(map(str, seeds))}; the command uses 0 to {len(seeds) - 1}."
        )
    if digest := (row.result or {}).get("dataset_sha256"):
        notes.append(f"The pictures had the SHA-256 {digest}.")
    return notes
