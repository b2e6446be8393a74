"""The map of the code in `assets/docs/architecture.md` beside the folders themselves."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAP = ROOT / "assets" / "docs" / "architecture.md"
MAPPED = ("kdcore", "pages/ui", "tests")  # every folder of code below these is a room
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \|$", re.M)  # a path in the first column, and its sentence
# A path of this repository in running text, in a table or in a command; `KDCORE_HOME/models` is none.
PATH = re.compile(r"(?<![\w./-])(?:kdcore|pages|tests|assets)/[\w./-]*[\w/]")


def mapped(text: str) -> list[tuple[str, str]]:
    """Every path in the first column of a table, with its sentence; that of a room ends in a slash."""
    return ROW.findall(text)


def folders(root: Path) -> set[str]:
    """Every folder below the mapped ones that holds Python files, as the map writes it."""
    found = {file.parent for top in MAPPED for file in (root / top).rglob("*.py") if file.parent != root / top}
    return {f"{folder.relative_to(root).as_posix()}/" for folder in found if "__pycache__" not in folder.parts}


def missing(root: Path, names: list[str]) -> list[str]:
    """Those of `names` that are not there; a name with a slash behind it must be a folder."""
    return [name for name in names if not ((root / name).is_dir() if name[-1] == "/" else (root / name).exists())]


def test_every_folder_of_code_is_on_the_map_once() -> None:
    rooms = [path for path, _ in mapped(MAP.read_text(encoding="utf-8")) if path.endswith("/")]
    assert len(rooms) == len(set(rooms))
    assert folders(ROOT) - set(rooms) == set()


def test_everything_on_the_map_exists() -> None:
    rows = mapped(MAP.read_text(encoding="utf-8"))
    assert {path.split("/", 1)[0] for path, _ in rows} == {"kdcore", "pages", "tests"}  # the tables were read
    assert missing(ROOT, [path for path, _ in rows]) == []
    rooms = [path for path, _ in rows if path.endswith("/")]
    assert [room for room in rooms if not any((ROOT / room).rglob("*.py"))] == []  # a room holds code


def test_every_room_has_one_sentence() -> None:
    for path, sentence in mapped(MAP.read_text(encoding="utf-8")):
        assert sentence.endswith(".") and ". " not in sentence, path


def test_every_path_in_the_documents_exists() -> None:
    for document in (ROOT / "README.md", *sorted(MAP.parent.glob("*.md"))):
        paths = PATH.findall(document.read_text(encoding="utf-8"))
        assert missing(ROOT, paths) == [], document.name
