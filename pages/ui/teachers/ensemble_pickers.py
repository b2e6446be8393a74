"""Controls with which a visitor chooses an ensemble: several teachers, and the rule by which they are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import KdError
from kdcore.teachers.ensemble_names import LOGITS, MAX_MEMBERS, EnsembleName, is_ensemble, parse_name
from pages.ui.engine import cache
from pages.ui.kit.formats import join_with_and
from pages.ui.session import state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.teachers.card import ModelCard

RULES = ("1", "4", LOGITS)
_LINKED_ENSEMBLE = "brought_teacher"  # session slot of an ensemble that a link or reused settings named


def ensemble_in_url(key: str) -> EnsembleName | None:
    """Return the ensemble that the URL's `key` names; None unless its members are on this machine and fit together."""
    name = state.requested_teacher(key)
    return parse_name(name) if is_possible(name) else None


def is_possible(name: str) -> bool:
    """Whether `name` is the name of an ensemble whose members are on this machine and fit together."""
    try:
        return is_ensemble(name) and bool(cache.teacher_card(name))
    except KdError:
        return False


def pick_members(first: str, url_ensemble: EnsembleName | None, default_teacher: str) -> str:
    """Let the visitor choose other teachers with the same labels to average with `first`, and the rule of averaging.

    Nothing is drawn where no other teacher fits.

    Args:
        first: name of the teacher that is chosen already.
        url_ensemble: the ensemble in the URL, None if there is none.
        default_teacher: name of the page's default teacher, which is left out of the URL.

    Returns:
        The name of the chosen ensemble, or `first` where no other teacher is chosen.
    """
    others = _with_same_labels(first)
    if not others:
        return first
    if url_ensemble is not None and first not in url_ensemble.members:
        url_ensemble = None
    keys = (f"ensemble_{first}", f"ensemble_rule_{first}")
    initial = [name for name in others if url_ensemble and name in url_ensemble.members]
    current = state.widget_value(keys[0])
    count = 1 + len(current if isinstance(current, list | tuple) else initial)
    label = _("Ensemble of {n}").format(n=count) if count > 1 else _("Ensemble")
    with st.container(key="kd_ensemble", width="content"), st.popover(label, icon=":material/groups:"):
        chosen = st.multiselect(
            _("Average {name} with").format(name=first), others, initial,
            key=keys[0], max_selections=MAX_MEMBERS - 1, placeholder=_("nobody"),
            on_change=_on_members_change, args=(first, default_teacher, *keys),
            help=_("Several teachers with the same labels act as one teacher: their answers are averaged."),
        )  # fmt: skip
        url_rule = url_ensemble.rule if url_ensemble else RULES[0]
        rules = RULES if url_rule in RULES else (*RULES, url_rule)
        rule = st.selectbox(
            _("What is averaged"), rules, rules.index(url_rule), key=keys[1],
            format_func=rule_name, disabled=not chosen,
            on_change=_on_members_change, args=(first, default_teacher, *keys),
            help=_("Probabilities at a temperature, or logits. With logits, a member that is surer counts for more."),
        )  # fmt: skip
    return _name(first, chosen, rule)


def rule_name(rule: str) -> str:
    """Return in words what an ensemble's rule averages: logits, or probabilities at a temperature."""
    return _("logits") if rule == LOGITS else _("probabilities, T = {t}").format(t=rule)


def ensemble_description(name: str) -> str:
    """Return a sentence on which teachers an ensemble averages and by which rule."""
    spec = parse_name(name)
    text = _("The average of {members} ({rule}).")
    return text.format(members=join_with_and(spec.members), rule=rule_name(spec.rule))


def with_ensembles(names: Sequence[str], key: str) -> list[str]:
    """Return teachers followed by their ensembles: each pair, all of them, and one that the widget or the URL names.

    The ensemble that was named last stays on offer until the session ends or another one is named.

    Args:
        names: names of teachers.
        key: key of the widget that offers them; the URL uses the same key.
    """
    from kdcore.teachers.ensembles import possible_ensembles  # loads torch, which takes seconds

    offered = [*names, *possible_ensembles([card for card in cache.teacher_cards() if card.name in names])]
    requested = str(state.widget_value(key) or state.requested_teacher(key))
    if is_possible(requested) and set(parse_name(requested).members) <= set(names):
        state.keep(_LINKED_ENSEMBLE, str(parse_name(requested)))
    linked = state.kept(_LINKED_ENSEMBLE)
    fits = isinstance(linked, str) and linked not in offered and set(parse_name(linked).members) <= set(names)
    return [*offered, str(linked)] if fits else offered


def _with_same_labels(first: str) -> list[str]:
    """Return the names of the other teachers on this machine that can be averaged with `first`."""
    from kdcore.teachers.ensembles import fit_together  # loads torch, which takes seconds

    cards: dict[str, ModelCard] = {card.name: card for card in cache.teacher_cards()}
    return [name for name, card in cards.items() if name != first and fit_together(card, cards[first])]


def _on_members_change(first: str, default_teacher: str, members_key: str, rule_key: str) -> None:
    """Write the choice into the URL before the page is drawn, so that the links at its top carry it."""
    chosen = state.widget_value(members_key)
    others = [str(name) for name in chosen] if isinstance(chosen, list | tuple) else []
    state.set_choice("teacher", _name(first, others, str(state.widget_value(rule_key) or RULES[0])), (default_teacher,))


def _name(first: str, others: Sequence[str], rule: str) -> str:
    """Return the name of the ensemble of `first` and `others`; `first` itself where there are no others."""
    return str(parse_name(f"{'+'.join((first, *others))}@{rule}")) if others else first
