"""Controls with which a visitor chooses an ensemble: several teachers, and the rule by which they are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import KdError
from kdcore.teachers.ensemble_names import LOGITS, MAX_MEMBERS, EnsembleName, is_ensemble, parse_name
from pages.ui.engine import cache
from pages.ui.session import state
from pages.ui.session.i18n import _
from pages.ui.teachers import members

if TYPE_CHECKING:
    from kdcore.teachers.card import ModelCard

RULES = ("1", "4", LOGITS)
_LINKED_ENSEMBLE = "brought_teacher"  # session slot of an ensemble that a link or reused settings named


def asked_ensemble(key: str) -> EnsembleName | None:
    """Return the ensemble that the URL's `key` names; None unless its members are on this machine and fit together."""
    name = state.requested_teacher(key)
    return parse_name(name) if is_possible(name) else None


def is_possible(name: str) -> bool:
    """Whether `name` is the name of an ensemble whose members are on this machine and fit together."""
    try:
        return is_ensemble(name) and bool(cache.teacher_card(name))
    except KdError:
        return False


def pick_members(first: str, asked: EnsembleName | None, usual: str) -> str:
    """Let the visitor choose other teachers with the same labels to average with `first`, and the rule of averaging.

    Nothing is drawn where no other teacher fits.

    Args:
        first: name of the teacher that is chosen already.
        asked: the ensemble in the URL, None if there is none.
        usual: name of the page's default teacher, which is left out of the URL.

    Returns:
        The name of the chosen ensemble, or `first` where no other teacher is chosen.
    """
    others = _with_same_labels(first)
    if not others:
        return first
    if asked is not None and first not in asked.members:
        asked = None
    keys = (f"ensemble_{first}", f"ensemble_rule_{first}")
    begun = [name for name in others if asked and name in asked.members]
    held = state.widget_value(keys[0])
    count = 1 + len(held if isinstance(held, list | tuple) else begun)
    label = _("Ensemble of {n}").format(n=count) if count > 1 else _("Ensemble")
    with st.container(key="kd_ensemble", width="content"), st.popover(label, icon=":material/groups:"):
        chosen = st.multiselect(
            _("Average {name} with").format(name=first), others, begun,
            key=keys[0], max_selections=MAX_MEMBERS - 1, placeholder=_("nobody"),
            on_change=_on_members_change, args=(first, usual, *keys),
            help=_("Several teachers with the same labels act as one teacher: their answers are averaged."),
        )  # fmt: skip
        rules = (*RULES, asked.rule) if asked and asked.rule not in RULES else RULES
        rule = st.selectbox(
            _("What is averaged"), rules, rules.index(asked.rule) if asked else 0, key=keys[1],
            format_func=rule_name, on_change=_on_members_change, args=(first, usual, *keys), disabled=not chosen,
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
    return text.format(members=members.listed(spec.members), rule=rule_name(spec.rule))


def with_ensembles(names: Sequence[str], key: str) -> list[str]:
    """Return teachers followed by their ensembles: each pair, all of them, and one that the widget or the URL names.

    The ensemble that was named last stays on offer until the session ends or another one is named.

    Args:
        names: names of teachers.
        key: key of the widget that offers them; the URL uses the same key.
    """
    from kdcore.teachers.ensembles import possible_ensembles

    offered = [*names, *possible_ensembles([card for card in cache.teacher_cards() if card.name in names])]
    asked = str(state.widget_value(key) or state.requested_teacher(key))
    if is_possible(asked) and set(parse_name(asked).members) <= set(names):
        state.keep(_LINKED_ENSEMBLE, str(parse_name(asked)))
    brought = state.kept(_LINKED_ENSEMBLE)
    fits = isinstance(brought, str) and brought not in offered and set(parse_name(brought).members) <= set(names)
    return [*offered, str(brought)] if fits else offered


def _with_same_labels(first: str) -> list[str]:
    from kdcore.teachers.ensembles import fit_together

    cards: dict[str, ModelCard] = {card.name: card for card in cache.teacher_cards()}
    return [name for name, card in cards.items() if name != first and fit_together(card, cards[first])]


def _on_members_change(first: str, usual: str, members_key: str, rule_key: str) -> None:
    """Write the choice into the URL before the page is drawn, so that the links at its top carry it."""
    chosen = state.widget_value(members_key)
    others = [str(name) for name in chosen] if isinstance(chosen, list | tuple) else []
    state.set_choice("teacher", _name(first, others, str(state.widget_value(rule_key) or RULES[0])), (usual,))


def _name(first: str, others: Sequence[str], rule: str) -> str:
    return str(parse_name(f"{'+'.join((first, *others))}@{rule}")) if others else first
