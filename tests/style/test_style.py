"""What a reviewer should not have to look for: layout, the direction of includes, sizes, words."""

import pathlib
import re
import shutil
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FLOORS = ["crypto", "schema", "federation", "server"]
LONGEST_FILE = 600
LONGEST_TEST = 900


def tracked(*patterns):
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns], cwd=REPOSITORY,
                           capture_output=True, text=True, check=True).stdout.split()
    return [REPOSITORY / name for name in sorted(set(names)) if (REPOSITORY / name).is_file()]


SOURCES = tracked("*.c", "*.h")


def name_of(path):
    return str(path.relative_to(REPOSITORY))


def floor_of(path):
    """The floor that a source belongs to; tests stand on the floor that they test."""
    parts = path.relative_to(REPOSITORY).parts
    parts = parts[1:] if parts[0] == "tests" else parts
    return parts[0] if parts[0] in FLOORS else None


@pytest.mark.skipif(not shutil.which("clang-format"), reason="clang-format is not installed")
@pytest.mark.parametrize("floor", FLOORS + ["tests"])
def test_clang_format(floor):
    files = [str(path) for path in SOURCES if path.relative_to(REPOSITORY).parts[0] == floor]
    if not files:
        pytest.skip("no sources")
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True)
    wrong = sorted({line.split(":")[0] for line in result.stderr.splitlines() if "error:" in line})
    assert not wrong, "run clang-format -i on: " + " ".join(wrong)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_includes_lean_down(path):
    floor = floor_of(path)
    for line in path.read_text().splitlines():
        include = re.match(r'#include "([a-z]+)/', line)
        if floor and include and include[1] in FLOORS:
            assert FLOORS.index(include[1]) <= FLOORS.index(floor), f"{floor} includes {include[1]}: {line}"


def test_files_stay_short():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    long = {name: lines for name, lines in lengths.items()
            if lines > (LONGEST_TEST if name.startswith("tests/") else LONGEST_FILE)}
    assert not long, f"too long: {long}"


def test_headers_say_what_they_are_for():
    silent = [name_of(path) for path in SOURCES if path.suffix == ".h" and not path.read_text().startswith("/*")]
    assert not silent


def test_no_todo_is_left():
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = [name_of(path) for path in SOURCES if words.search(path.read_text())]
    assert not found


def test_top_level_is_tidy():
    allowed = {"crypto", "schema", "federation", "server", "tests", "docs", "packaging", "meson.build",
               "meson_options.txt", "README.md", "NEWS", "LICENSE"}
    names = {path.relative_to(REPOSITORY).parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} <= allowed


@pytest.mark.parametrize("path", [path for path in tracked() if path.suffix == "" and path.read_bytes()[:11] == b"#!/bin/bash"],
                         ids=name_of)
def test_shell_scripts_parse(path):
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_quick_uses_no_peers():
    """Whoever takes two nodes says so, or tests/run --quick would start them."""
    for path in (REPOSITORY / "tests" / "integration").glob("test_*.py"):
        text = path.read_text()
        if re.search(r"\b(own_)?two_nodes\b", text):
            assert "mark.peers" in text, name_of(path)
