"""Libolm stays where it can be taken out, and away from what a server signs and seals."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
OWN = ("crypto/olm/", "crypto/megolm/")


def includes():
    """(file, what it includes) of all sources but the tests'."""
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.c", "*.h"], cwd=REPOSITORY,
                           capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if not name.startswith("tests/") and (REPOSITORY / name).is_file():
            for found in re.findall(r'#include [<"]([^>"]+)[>"]', (REPOSITORY / name).read_text()):
                yield name, found


def test_CVE_2024_45191_olm_side_channel():
    """No server key, event or request passes through libolm: only the participant, a client, may come near it."""
    found = list(includes())
    users = {name for name, include in found if include.startswith("olm/")}
    assert "crypto/olm/backend.h" in users and all(name.startswith(OWN) for name in users), users
    assert all(name.startswith(OWN) for name, include in found if include == "crypto/olm/backend.h")
    callers = {name for name, include in found if include.startswith(OWN) and not name.startswith(OWN)}
    assert callers and all(name.startswith("server/participant/") for name in callers), callers


@pytest.mark.skipif(not shutil.which("meson"), reason="meson is not installed")
def test_dependency_lifecycle(tmp_path):
    """A build without libolm leaves out what names it and nothing else."""
    subprocess.run(["meson", "setup", str(tmp_path / "build"), str(REPOSITORY), "--native-file",
                    str(REPOSITORY / "tests" / "support" / "without-olm.ini")], check=True, capture_output=True)
    commands = json.loads((tmp_path / "build" / "compile_commands.json").read_text())
    files = {str(pathlib.Path(each["directory"], each["file"]).resolve()).removeprefix(f"{REPOSITORY}/") for each in commands}
    assert "server/node.c" in files and "crypto/ed25519.c" in files
    assert not [name for name in files if name.startswith((*OWN, "server/participant/"))]
    assert "libolm" not in (tmp_path / "build" / "build.ninja").read_text()
