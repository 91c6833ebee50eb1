"""The manual pages say what the program says."""

import os
import pathlib
import re
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MANUALS = REPOSITORY / "packaging" / "man"


def program():
    if "COMITY" in os.environ:
        return os.environ["COMITY"]
    builds = [REPOSITORY / folder / "server" / "comity" for folder in ("build-test", "build")]
    builds = [path for path in builds if path.exists()]
    if not builds:
        pytest.skip("there is no build")
    return str(max(builds, key=lambda path: path.stat().st_mtime))


def plain(page):
    """The text of a manual page without its macros."""
    text = (MANUALS / page).read_text().replace("\\-", "-")
    return re.sub(r"\\f[BIRP]|\\", "", text)


def generated_keys():
    text = subprocess.run([program(), "generate-config", "--server-name", "a.example", "--data-dir", "/d"],
                          capture_output=True, text=True, check=True).stdout
    group, keys = None, []
    for line in text.splitlines():
        if line.startswith("["):
            group = line.strip("[]").split()[0]
        key = re.match(r"#?([a-z_]+) =", line)
        if key:
            keys.append((group, key[1]))
    return keys


def manual_keys():
    group, keys = None, []
    for line in plain("comity.conf.5").splitlines():
        heading = re.match(r"\.S[HS] \"?\[([a-z]+)", line)
        if heading:
            group = heading[1]
        key = re.match(r"\.B ([a-z_]+)", line)
        if key and group:
            keys.append((group, key[1]))
    return keys


def test_every_key_is_in_the_manual():
    assert sorted(generated_keys()) == sorted(manual_keys())


def commands(*words):
    usage = subprocess.run([program(), *words], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  ([a-z-]+)  ", usage, re.M)


def test_every_command_is_in_the_manual():
    names = commands("help") + [f"user {name}" for name in commands("user", "--help")]
    assert len(names) > 10
    missing = [name for name in names if f"comity {name}" not in plain("comity.1")]
    assert not missing
