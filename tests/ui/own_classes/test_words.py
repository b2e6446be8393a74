"""The sentences and the table of the page on which visitors teach classes of their own."""

from __future__ import annotations

from pages.ui.own_classes.words import expiry_sentence, privacy_sentence, trio_table

ARMS = {
    "baseline": {"accuracy": {"mean": 0.5, "ci95": [0.4, 0.6]}, "num_params": 9_842, "size_bytes": 41_000},
    "distilled": {"accuracy": {"mean": 0.75, "ci95": None}, "num_params": 9_842, "size_bytes": 41_000},
    "shuffled": {"accuracy": {"mean": 0.1, "ci95": None}, "num_params": 9_842, "size_bytes": 41_000},
    "teacher": {"accuracy": {"mean": 1.0, "ci95": None}, "num_params": 3_400_000, "size_bytes": 6_900_000},
}


def test_the_table_has_the_three_networks_with_accuracy_interval_and_size() -> None:
    table = trio_table(ARMS)
    assert table.arms == ("teacher", "distilled", "baseline")
    accuracy, parameters, size = table.rows
    assert [cell.value for cell in accuracy.cells] == ["100.0 %", "75.0 %", "50.0 %"]
    assert [cell.detail for cell in accuracy.cells] == ["", "", "40.0 to 60.0 %"]
    assert [cell.value for cell in parameters.cells] == ["3.4 million", "9,842", "9,842"]
    assert [cell.value for cell in size.cells] == ["6.9 MB", "41 kB", "41 kB"]


def test_an_arm_without_figures_is_a_dash() -> None:
    table = trio_table({"teacher": {}, "distilled": {"accuracy": {"mean": None}}})
    assert all(cell.value == "–" for row in table.rows for cell in row.cells)


def test_the_sentences_say_where_how_long_and_who() -> None:
    sentence = privacy_sentence("/home/ada/lab")
    assert all(words in sentence for words in ("memory", "/home/ada/lab", "24 hours", "whoever can open this app"))
    assert "23 h 30 min" in expiry_sentence(84_600.0, 0.0)
    assert "until you delete them" in expiry_sentence(None, 0.0)
