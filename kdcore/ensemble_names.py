"""How an ensemble of teachers is called: `a+b`, `a+b@4`, `a+b@logits`. The name is the whole specification.

`a+b` averages the members' probabilities at T = 1, `a+b@4` at T = 4, `a+b@logits` their logits. Nothing in a name needs
quotes in a shell; in a URL the "+" is written %2B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kdcore.errors import ConfigError

FEWEST, MOST = 2, 8  # members
LOWEST, HIGHEST = 0.01, 1000.0  # temperature
LOGITS = "logits"


@dataclass(frozen=True)
class EnsembleName:
    """What the name of an ensemble says.

    Attributes:
        members: names of teachers, sorted: any order means the same ensemble.
        temperature: at which their probabilities are averaged; None for the mean of their logits.
    """

    members: tuple[str, ...]
    temperature: float | None = 1.0

    def __str__(self) -> str:
        joined = "+".join(self.members)
        return joined if self.temperature == 1.0 else f"{joined}@{self.rule}"

    @property
    def rule(self) -> str:
        """What may stand behind the "@": "logits" or a temperature."""
        return LOGITS if self.temperature is None else f"{self.temperature:g}"


def is_ensemble(name: str) -> bool:
    """Whether a teacher's name is written like that of an ensemble."""
    return "+" in name or "@" in name


def members_of(name: str) -> tuple[str, ...]:
    """The teachers behind a name: the members of an ensemble, else that one teacher.

    Raises:
        ConfigError: as `parse_name`.
    """
    return parse_name(name).members if is_ensemble(name) else (name,)


def normal_name(name: str) -> str:
    """The one way to write a teacher's name: members in order, and nothing that goes without saying.

    Raises:
        ConfigError: as `parse_name`.
    """
    return str(parse_name(name)) if is_ensemble(name) else name


def parse_name(name: str) -> EnsembleName:
    """What the name of an ensemble says, whoever its members are.

    Raises:
        ConfigError: not 2 to 8 different members, or no rule that exists.
    """
    joined, at, rule = name.partition("@")
    members = tuple(joined.split("+"))
    if not all(members):
        raise ConfigError(f'"{name}" lacks a teacher beside a "+"; an ensemble is written like cifar10+another.')
    if not FEWEST <= len(members) <= MOST:
        raise ConfigError(
            f'"{name}" names {len(members)} teacher{"s" if len(members) > 1 else ""}, and an ensemble has {FEWEST} to '
            f'{MOST}; join their names with "+".'
        )
    twice = next((member for member in members if members.count(member) > 1), None)
    if twice is not None:
        raise ConfigError(f'"{name}" names {twice} more than once; an ensemble averages different teachers.')
    return EnsembleName(tuple(sorted(members)), _temperature(name, rule) if at else 1.0)


def _temperature(name: str, rule: str) -> float | None:
    if rule == LOGITS:
        return None
    try:
        value = float(f"{float(rule):g}")  # as the name writes it, so that a name and its ensemble never differ
    except ValueError:
        value = math.nan
    if not LOWEST <= value <= HIGHEST:  # false for what is no number, too
        raise ConfigError(
            f'"{name}" says no way to average; behind the "@" stands {LOGITS}, or a temperature from {LOWEST:g} to '
            f"{HIGHEST:g}."
        )
    return value
