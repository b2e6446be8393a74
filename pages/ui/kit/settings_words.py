"""A run's configuration in words: its method, its settings and the settings that a sweep varies.

The functions here only return texts; they draw nothing themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdcore.methods.method import DEFAULT_METHOD, SOFT_SETTINGS, Method
from kdcore.settings.controls import CONTROLS
from kdcore.settings.describe import own_point
from pages.ui.kit import look
from pages.ui.kit.formats import arm_name, capitalised, format_count
from pages.ui.session.i18n import _, ngettext

MAX_VALUES_LENGTH = 40  # a list of values with more characters than this is replaced by the number of values


def method_of(config: Mapping[str, Any]) -> str:
    """Return the key of the run's method; configurations of old runs have no method and used the default one."""
    return str(config.get("method") or DEFAULT_METHOD)


def _method(config: Mapping[str, Any]) -> Method:
    """Return the run's method; Hinton's if this version does not know the one that the run names."""
    from kdcore.methods.registry import method_or_default  # loads torch, which takes seconds

    return method_or_default(method_of(config))


def method_title(name: str) -> str:
    """Return the title of a method, translated; for a method that this version does not know, its key."""
    from kdcore.methods.registry import METHODS  # loads torch, which takes seconds

    return _(METHODS[name].title) if name in METHODS else name


def method_sentence(name: str) -> str:
    """Return a sentence on what the student learns by this method; "" for an unknown method."""
    from kdcore.methods.registry import METHODS  # loads torch, which takes seconds

    return _(METHODS[name].sentence) if name in METHODS else ""


def has_teacher(config: Mapping[str, Any]) -> bool:
    """Whether the students learn from the run's teacher, directly or through teacher assistants."""
    return _method(config).has_teacher


def agreement_note(config: Mapping[str, Any]) -> str:
    """Return a short note on the teacher with which the students' agreement is measured."""
    if has_teacher(config):
        return _("chooses the teacher's class")
    return _("chooses the class of {name}, which taught none of them").format(name=config["teacher"])


def _soft_settings(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which of temperature and distill weight to mention for a run.

    A setting that the method does not use is left out; in a sweep over methods both are, as each method has its own.
    """
    used = _method(config).settings
    return () if "method" in (config.get("vary") or {}) else tuple(one for one in SOFT_SETTINGS if one in used)


def config_facts(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the name and value of each setting of a run, in words; those that its method does not use are left out."""
    varied = _varied(config)
    names = ["dataset", "labels", "teacher", "student", "method", "temperature", "distill_weight", "epochs"]
    names = [name for name in names if name not in SOFT_SETTINGS or name in _soft_settings(config)]
    titles = setting_names()
    values = {"method": method_of(config), **{name: config[name] for name in names if name in config}}
    facts = [(titles[name], varied.get(name) or setting_value(name, values[name])) for name in names]
    parameters = dict(config.get("parameters") or {})
    facts += [
        (parameter_name(name), varied.get(name) or setting_value(name, value))
        for name, value in parameters.items()
        if value
    ]
    facts += [(parameter_name(name), values) for name, values in varied.items() if name not in (*names, *parameters)]
    if extra := config.get("extra_pictures"):
        facts.append((titles["extra_pictures"], str(extra)))
    if controls := config.get("controls"):
        facts.append((_("Controls"), ", ".join(map(arm_name, controls))))
    return [*facts, (_("Seeds"), str(len(config["seeds"])))]


def config_sentence(config: Mapping[str, Any]) -> str:
    """Return a run's configuration as one line of text."""
    varied = _varied(config)
    parts = [
        ("dataset", str(config["dataset"])),
        ("labels", _("{n} labelled pictures").format(n=format_count(config["labels"]))),
        ("student", str(config["student"])),
    ]
    if method_of(config) != DEFAULT_METHOD:
        parts.append(("method", method_title(method_of(config))))
    soft = {
        "temperature": _("T\u00a0=\u00a0{t:g}").format(t=config["temperature"]),
        "distill_weight": _("weight\u00a0{w:g}").format(w=config["distill_weight"]),
    }
    parts += [(name, soft[name]) for name in _soft_settings(config)]
    texts = [text for name, text in parts if name not in varied]
    for name, values in varied.items():
        n = len(config["vary"][name])
        count = ngettext("{n} value", "{n} values", n).format(n=n)
        texts.append(f"{setting_name(name)}\u00a0({values if len(values) <= MAX_VALUES_LENGTH else count})")
    if extra := config.get("extra_pictures"):
        texts.append(_("extra pictures ({name})").format(name=extra))
    if controls := config.get("controls"):
        texts.append(ngettext("{n}\u00a0control", "{n}\u00a0controls", len(controls)).format(n=len(controls)))
    seeds = ngettext("{n}\u00a0seed", "{n}\u00a0seeds", len(config["seeds"]))
    return ", ".join([*texts, seeds.format(n=len(config["seeds"]))])


def setting_names() -> dict[str, str]:
    """Return the translated name of every setting, by its key in the configuration."""
    return {
        "dataset": _("Dataset"),
        "labels": _("Labelled pictures"),
        "teacher": _("Teacher"),
        "student": _("Student"),
        "method": _("Method"),
        "temperature": _("Temperature"),
        "distill_weight": _("Distill weight"),
        "epochs": _("Epochs"),
        "seeds": _("Seeds"),
        "controls": _("Controls"),
        "extra_pictures": _("Extra pictures"),
        "device": _("Device"),
        "batch_size": _("Batch size"),
        "learning_rate": _("Learning rate"),
        "weight_decay": _("Weight decay"),
        "label_smoothing": _("Label smoothing"),
    }


def parameter_name(name: str) -> str:
    """Return the name of a setting or of a method's parameter in words, with a capital letter."""
    words = name.replace("_", " ")
    return setting_names().get(name, capitalised(words))


def setting_name(name: str) -> str:
    """Return the name of a setting as it is written within a sentence: with a small first letter."""
    words = parameter_name(name)
    return words[:1].lower() + words[1:]


def setting_value(name: str, value: object) -> str:
    """Format the value of a setting for readers."""
    if name == "method":
        return method_title(str(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return format_count(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def own_point_text(config: Mapping[str, Any]) -> str:
    """Return a sweep's own point in words, such as "temperature 4, labelled pictures 100"; "" for a run without sweep.

    The own point is the setting for which the run's result reports its arms, its difference and its verdict.
    """
    return point_text(own_point(config))


def point_text(values: Mapping[str, Any]) -> str:
    """Return one point of a sweep in words, such as "temperature 4, labelled pictures 100"."""
    texts = {name: setting_value(name, value) for name, value in values.items()}
    if "method" in texts:  # quoted, because a method's title can be several words
        texts["method"] = _("“{name}”").format(name=texts["method"])
    return ", ".join(f"{setting_name(name)} {text}" for name, text in texts.items())


def _varied(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that a sweep varies, each with its values joined by commas; empty for a run without sweep."""
    vary = config.get("vary") or {}
    return {name: ", ".join(setting_value(name, value) for value in values) for name, values in vary.items()}


def pair_sentence(config: Mapping[str, Any]) -> str:
    """Return one sentence on what the baseline and the distilled student learn from.

    Args:
        config: the configuration of a run; only its keys "method" and "vary" are read, and both may be missing.
    """
    if "method" in (config.get("vary") or {}):
        return _("The same small student learns from hard labels alone, and then by one method after the other.")
    second = _(_method(config).learns_from)
    return _("The same small student learns twice: from hard labels, and {second}.").format(second=second)


def label_note(config: Mapping[str, Any]) -> str:
    """Return the labels that the distilled student gets for a picture, in words.

    "" for methods in which a second student or an earlier stage gives the labels, so that no one example can show them.
    """
    method = _method(config)
    if method.smoothing:
        share = float(dict(config.get("parameters") or {}).get(method.smoothing, 0.0))
        return _("is told the hard label, {share} of it spread over all classes").format(share=look.percent(share))
    if method.stages is not None or not method.has_teacher:
        return ""
    return _("is told soft labels, T = {t:g}").format(t=config["temperature"])


def weight_note(config: Mapping[str, Any]) -> str:
    """Return a sentence on how much the soft labels and the hard label count for the distilled student.

    "" for a method without a distill weight, such as label smoothing.
    """
    text, weight = _method(config).weight_note, config["distill_weight"]
    return _(text).format(soft=look.percent(weight), hard=look.percent(1 - weight)) if text else ""


def extra_arms_sentence(config: Mapping[str, Any]) -> str:
    """Return what is special about a run: the points of a sweep, extra pictures, controls; "" without any."""
    sentences = []
    for name, values in _varied(config).items():
        text = _("The pairs are trained at several values of a setting. {setting}: {values}.")
        sentences.append(text.format(setting=parameter_name(name), values=values))
    if extra := config.get("extra_pictures"):
        text = _(
            "The distilled student also sees pictures without labels ({name}), by soft labels alone; the others see "
            "theirs more often, so that all take as many steps."
        )
        sentences.append(text.format(name=extra))
    if controls := config.get("controls"):
        text = _("One more student is trained for each control: {names}.")
        sentences.append(text.format(names=", ".join(map(arm_name, controls))))
    return " ".join(sentences)


def control_sentences(name: str) -> tuple[str, str]:
    """Return two sentences on a control: what is different in it, and what theory predicts."""
    return _(CONTROLS[name].sentence), _(CONTROLS[name].theory)
