"""The package away from its checkout, and the documents beside the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import kdcore

ROOT = Path(__file__).parents[2]
# These read published weights after their checksum.
READ_PUBLISHED_WEIGHTS = (ROOT / "kdcore/teachers/sources/torchvision.py", ROOT / "kdcore/teachers/packaged.py")
README = ROOT / "README.md"
PAGES = sorted((ROOT / "assets" / "docs").glob("*.md"))  # what the README links


def test_an_installed_wheel_brings_its_teachers(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = (
        "import kdcore, torch; from pathlib import Path\n"
        "assert Path(kdcore.__file__).is_relative_to(Path.cwd()), kdcore.__file__\n"
        "teacher = kdcore.load_teacher('digits')\n"
        "print(teacher.logits(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).shape[1])"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed), "KDCORE_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=installed,
        env=environment,
    )
    assert done.stdout.strip() == "10", done.stderr


def test_every_public_name_is_there_and_documented() -> None:
    for name in kdcore.__all__:
        value = getattr(kdcore, name)
        if callable(value):
            assert (value.__doc__ or "").strip(), name


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import kdcore, sys; assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_every_dependency_says_what_it_is_for() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        lines = [line for line in text.splitlines() if f'"{requirement}"' in line]
        assert any(re.search(r"#\s*\S+", line) for line in lines), requirement


def test_the_pythons_that_were_tried_are_the_same_everywhere() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    classifiers = settings["project"]["classifiers"]
    tried = [found[1] for line in classifiers if (found := re.fullmatch(r".* :: Python :: (3\.\d+)", line))]
    assert tried == sorted(tried, key=lambda version: int(version[2:])) and len(set(tried)) == len(tried)
    assert settings["project"]["requires-python"] == f">={tried[0]}"
    assert settings["tool"]["ruff"]["target-version"] == f"py{tried[0].replace('.', '')}"
    assert set(re.findall(r"\b3\.\d+\b", README.read_text(encoding="utf-8"))) == set(tried)


# A Python that claims a version, and whose environments hold programs that only write down how they were called.
FAKE_PYTHON = """#!/bin/bash
case "$1" in
    --version) echo "Python {version}.9" ;;
    -c) exec {real} -c "import sys; sys.version_info = ({major}, {minor}, 9, 'final', 0); exec(sys.argv[1])" "$2" ;;
    -m) mkdir -p "$3/bin"
        echo "PATH=$3/bin:$PATH; deactivate() {{ PATH=\\${{PATH#*:}}; }}" > "$3/bin/activate"
        for program in pip ruff mypy lint-imports pytest; do
            printf '#!/bin/bash\\necho "{version} %s $*" >> {calls}\\n' "$program" > "$3/bin/$program"
            chmod +x "$3/bin/$program"
        done ;;
esac
"""


def run_ci(folder: Path, **pythons: str) -> tuple[str, list[str]]:
    """Run `.ci/run` where only these Pythons (name=version) are found; return what it prints, and each call as
    "version program arguments"."""
    folder.mkdir()
    for tool in ("bash", "dirname", "mktemp", "rm", "mkdir", "sed", "chmod"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    for name in ("chromium", *pythons):
        version = pythons.get(name, "0.0")
        major, minor = version.split(".")
        calls = folder / "calls"
        text = FAKE_PYTHON.format(version=version, real=sys.executable, major=major, minor=minor, calls=calls)
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    environment = {"PATH": str(folder), "HOME": str(folder), "TMPDIR": str(folder)}
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "run")], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(folder.glob("tmp.*")), "the environments stayed"
    return done.stdout, (folder / "calls").read_text(encoding="utf-8").splitlines()


@pytest.mark.skipif(os.name == "nt", reason="a script for bash")
def test_ci_runs_everything_on_the_newest_python_and_a_part_on_the_oldest(tmp_path: Path) -> None:
    whole = "pytest -n logical --maxprocesses 4 --dist loadfile"
    assert f'    pip install -e ".[test]" && {whole}\n' in README.read_text(encoding="utf-8")

    said, calls = run_ci(tmp_path / "several", **{"python3": "3.12", "python3.13": "3.13", "python3.11": "3.11"})
    assert "whole suite runs on Python 3.13.9; on Python 3.11.9 run tests/" in said
    part = next(call.removeprefix(f"3.11 {whole} ") for call in calls if call.startswith("3.11 pytest"))
    assert all((ROOT / path).exists() for path in part.split())
    assert {"store", "settings", "methods", "metrics", "cli"} <= {path.split("/")[2] for path in part.split()}
    assert [path for path in part.split() if path.startswith("tests/pages/")]
    assert [call for call in calls if "pytest" in call] == [f"3.11 {whole} {part}", f"3.13 {whole}"]
    assert {"3.11 ruff check .", "3.11 ruff format --check .", "3.11 mypy ", "3.11 lint-imports "} <= set(calls)

    for name, version in (("one", "3.12"), ("newer", "3.99")):
        said, calls = run_ci(tmp_path / name, python3=version)
        assert f"Only Python {version}.9 is at hand" in said
        assert [call for call in calls if "pytest" in call] == [f"{version} {whole}"]
        assert f"{version} mypy " in calls


def test_pages_are_short_and_the_readme_names_each() -> None:
    readme = README.read_text(encoding="utf-8")  # the front page alone: the others name scripts too
    for page in (ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))):
        lines = page.read_text(encoding="utf-8").count("\n")
        assert lines <= 80, f"{page.name} has {lines} lines"
        if page.name != "__init__.py":
            assert f"`{page.relative_to(ROOT)}`" in readme, page.name


def test_the_readme_is_short_and_leads_to_every_page_of_the_documentation() -> None:
    readme = README.read_text(encoding="utf-8")
    assert readme.count("\n") <= 150
    assert PAGES
    for page in PAGES:
        assert f"]({page.relative_to(ROOT).as_posix()})" in readme, page.name


def test_every_page_of_the_documentation_begins_with_a_title_and_one_sentence() -> None:
    for page in PAGES:
        title, sentence, *_ = page.read_text(encoding="utf-8").split("\n\n")
        assert re.fullmatch(r"# \S.*", title), page.name
        assert sentence.startswith("This page ") and sentence.endswith(".") and ". " not in sentence, page.name


def test_every_link_between_the_documents_leads_somewhere() -> None:
    for document in (README, *PAGES):
        for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            name, _, heading = link.partition("#")
            target = document.parent / name
            assert target.is_file(), f"{document.name}: {link}"
            if heading:
                headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
                slugs = [re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings]
                assert heading in slugs, f"{document.name}: {link}"


def test_the_documents_example_runs(tmp_path: Path) -> None:
    documents = "\n".join(path.read_text(encoding="utf-8") for path in (README, *PAGES))
    (example,) = re.findall(r"```python\n(.*?)```", documents, re.S)
    assert len(example.strip().splitlines()) <= 10
    done = subprocess.run(
        [sys.executable, "-c", example],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=ROOT,
        env={**os.environ, "KDCORE_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "seeds" in done.stdout


def test_nothing_is_unpickled_but_published_weights() -> None:
    for path in [*ROOT.glob("kdcore/**/*.py"), *ROOT.glob("pages/**/*.py"), ROOT / "app.py"]:
        text = path.read_text(encoding="utf-8")
        if path in READ_PUBLISHED_WEIGHTS:
            text, calls = re.subn(r'torch\.load\(path, map_location="cpu", weights_only=True\)', "", text)
            assert calls == 1
        assert not re.search(r"\b(pickle|joblib|dill)\b|torch\.load\(|allow_pickle=True", text), path
