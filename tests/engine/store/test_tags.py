"""Tags: which are legal, and how they are kept."""

from __future__ import annotations

import pytest

from kdcore.errors import ConfigError, RunNotFound
from kdcore.store import Store, new_id
from tests.engine.store.stored_runs import add_run


def test_tags_are_tidied_and_kept(store: Store) -> None:
    run_id = add_run(store)
    assert store.run(run_id).tags == ()
    kept = store.tag(run_id, ["  class  7b ", "T-8", "CLASS 7B", "пример", "e\u0301te\u0301", "हिन्दी", "実験_2"])
    assert kept == ("class 7b", "T-8", "пример", "\u00e9t\u00e9", "हिन्दी", "実験_2")
    assert store.run(run_id).tags == kept == store.list_runs()[0].tags
    assert store.change_tags(run_id, lambda before: [*before[1:3], "new"]) == ("T-8", "пример", "new")
    assert store.tag(run_id, []) == store.run(run_id).tags == ()


@pytest.mark.parametrize(
    "word", ["", "   ", "-_", "x" * 25, "<b>bold</b>", "a,b", "a\0b", "a\u202eb", "🙂", 'x"', "a/b"]
)
def test_what_is_no_tag_is_one_sentence_and_changes_nothing(store: Store, word: str) -> None:
    run_id = add_run(store)
    store.tag(run_id, ["before"])
    with pytest.raises(ConfigError) as error:
        store.tag(run_id, ["fine", word])
    assert "1 to 24 letters" in str(error.value) and not set("<>\0\u202e") & set(str(error.value))
    assert store.run(run_id).tags == ("before",)


def test_a_run_carries_eight_tags(store: Store) -> None:
    run_id = add_run(store)
    assert len(store.tag(run_id, [*"abcdefgh", "A"])) == 8
    with pytest.raises(ConfigError, match="at most 8 tags, not 9"):
        store.tag(run_id, "abcdefghi")
    with pytest.raises(RunNotFound):
        store.tag(new_id(), ["a"])
