"""Style sheets as the pages insert them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages.ui.kit import look

SHEETS = sorted(Path(look.__file__).parent.parent.rglob("*.css"))


def rules(css: str) -> list[str]:
    """The rules of a style sheet without any white space."""
    return [re.sub(r"\s", "", rule) for rule in css.split("}") if rule.strip()]


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_a_style_sheet_on_one_line_has_the_rules_of_its_file(sheet: Path) -> None:
    html = look.style_html(sheet, more="  p {\n  color: red;\n}")
    assert "\n" not in html
    text = re.fullmatch(r"<style>(.*)</style>", html)
    assert text is not None
    assert rules(text[1]) == [*rules(sheet.read_text(encoding="utf-8")), "p{color:red;"]


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_no_style_sheet_has_a_string_in_which_white_space_counts(sheet: Path) -> None:
    without_comments = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
    strings = re.findall(r"\"[^\"]*\"|'[^']*'", without_comments)
    assert not [one for one in strings if re.search(r"\s{2,}|\n|\t", one)]
