"""Parts that are measured in turns."""

from __future__ import annotations

from collections.abc import Iterator

from kdcore.experiments.bench import clock


def test_turns_medians_and_spread() -> None:
    lines: list[str] = []
    values: dict[str, Iterator[float]] = {"a": iter([5.0, 1.0, 2.0]), "b": iter([7.0, 8.0, 9.0])}
    jobs = {name: lambda name=name: next(values[name]) for name in values}
    found = clock.measure_in_turns(jobs, 3, lines.append)
    assert [line[0] for line in lines] == ["a", "b"] * 3
    assert found["a"].median == 2.0 and found["a"].range == [1.0, 5.0]
    assert found["b"].seconds == (7.0, 8.0, 9.0)
