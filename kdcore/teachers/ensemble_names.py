"""The names of ensembles of teachers: `a+b`, `a+b@4`, `a+b@logits`. Such a name specifies the ensemble completely.

`a+b` averages the members' probabilities at T = 1, `a+b@4` at T = 4; `a+b@logits` averages their logits. Such a name
needs no quotes in a shell; in a URL the "+" is written %2B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kdcore.errors import ConfigError

MIN_MEMBERS, MAX_MEMBERS = 2, 8  # legal numbers of members
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 1000.0  # legal temperatures
LOGITS = "logits"


@dataclass(frozen=True)
class EnsembleName:
    """A parsed name of an ensemble; `str()` writes it in its normal form.

    Attributes:
        members: the names of the teachers, sorted, because their order makes no difference.
        temperature: the temperature at which their probabilities are averaged; None to average their logits.
    """

    members: tuple[str, ...]
    temperature: float | None = 1.0

    def __str__(self) -> str:
        joined = "+".join(self.members)
        return joined if self.temperature == 1.0 else f"{joined}@{self.rule}"

    @property
    def rule(self) -> str:
        """How the members are averaged, as written behind the "@": "logits" or a temperature."""
        return LOGITS if self.temperature is None else f"{self.temperature:g}"


def is_ensemble(name: str) -> bool:
    """Whether a teacher's name has the form of an ensemble's name; it may still be illegal."""
    return "+" in name or "@" in name


def members_of(name: str) -> tuple[str, ...]:
    """The names of an ensemble's members; for any other name, that name alone.

    Raises:
        ConfigError: as `parse_name`.
    """
    return parse_name(name).members if is_ensemble(name) else (name,)


def normal_name(name: str) -> str:
    """A teacher's name in its normal form: an ensemble's members sorted, and "@1", the default, left out.

    Raises:
        ConfigError: as `parse_name`.
    """
    return str(parse_name(name)) if is_ensemble(name) else name


def parse_name(name: str) -> EnsembleName:
    """Parse the name of an ensemble, without checking that its members exist.

    Raises:
        ConfigError: it does not name 2 to 8 different members, or what follows the "@" is neither "logits" nor a legal
            temperature.
    """
    joined, at, rule = name.partition("@")
    members = tuple(joined.split("+"))
    if not all(members):
        raise ConfigError(f'"{name}" lacks a teacher beside a "+"; an ensemble is written like cifar10+another.')
    if not MIN_MEMBERS <= len(members) <= MAX_MEMBERS:
        raise ConfigError(
            f'"{name}" names {len(members)} teacher{"s" if len(members) > 1 else ""}, and an ensemble has '
            f'{MIN_MEMBERS} to {MAX_MEMBERS}; join their names with "+".'
        )
    twice = next((member for member in members if members.count(member) > 1), None)
    if twice is not None:
        raise ConfigError(f'"{name}" names {twice} more than once; an ensemble averages different teachers.')
    return EnsembleName(tuple(sorted(members)), _temperature(name, rule) if at else 1.0)


def _temperature(name: str, rule: str) -> float | None:
    if rule == LOGITS:
        return None
    try:
        value = float(f"{float(rule):g}")  # rounded as the name prints it, or name and ensemble could differ
    except ValueError:
        value = math.nan
    if not MIN_TEMPERATURE <= value <= MAX_TEMPERATURE:  # NaN fails this, too
        raise ConfigError(
            f'"{name}" does not say how to average; write {LOGITS} behind the "@", or a temperature from '
            f"{MIN_TEMPERATURE:g} to {MAX_TEMPERATURE:g}."
        )
    return value
