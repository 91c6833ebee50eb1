"""The first of the two commands, as a newcomer has it: what it starts, shows, keeps and stops."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import types

import pytest

from client import Client
import machine

QUICKSTART = machine.REPOSITORY / "packaging" / "quickstart"
PROGRAM = machine.REPOSITORY / "build-release" / "server" / "comity"

pytestmark = [pytest.mark.peers, pytest.mark.slow,
              pytest.mark.skipif(os.geteuid() != 0, reason="it installs packages and becomes another user")]


def quickstart(state, *options, expect=0):
    done = subprocess.run([QUICKSTART, "--state", str(state), *options], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def status(state, expect=0):
    return json.loads(quickstart(state, "--status", "--json", expect=expect))


def pids(report):
    return {part.get("name", "directory"): part["pid"] for part in [report["directory"], *report["nodes"]]}


def sign_in(node, account):
    return Client(types.SimpleNamespace(url=node["homeserver"], ca=None)).login(account["user_id"], account["password"])


@pytest.fixture
def state():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="comity-quickstart-", dir="/var/tmp"))
    yield folder
    quickstart(folder, "--stop")
    shutil.rmtree(folder)


def test_two_companies(state):
    shown = quickstart(state)
    report = status(state)
    acme, globex = report["nodes"]
    assert (acme["name"], globex["name"]) == ("acme.localhost", "globex.localhost")
    for node in (acme, globex):
        assert len(node["accounts"]) >= 6
        for text in (node["homeserver"], node["admin"]["token"], node["log"], *(each["user_id"] for each in node["accounts"])):
            assert text in shown
    for hearer, sender in ((acme, globex), (globex, acme)):
        assert f"{hearer['name']} decrypted from @comity:{sender['name']} (encrypted): Hello {hearer['name']}" in shown
    room = report["room"]["room_id"]
    for node in (acme, globex):
        assert sign_in(node, node["accounts"][0]).get("/joined_rooms")["joined_rooms"] == [room]

    # A second run finds everything running, and changes nothing.
    quickstart(state)
    assert pids(status(state)) == pids(report)

    # After another build the nodes run that.
    shutil.copy2(PROGRAM, f"{PROGRAM}.new")
    os.replace(f"{PROGRAM}.new", PROGRAM)
    quickstart(state)
    after = status(state)
    assert pids(after)["directory"] == report["directory"]["pid"]
    assert not {node["pid"] for node in after["nodes"]} & {acme["pid"], globex["pid"]}

    # What was stopped stands there again as it was.
    quickstart(state, "--stop")
    assert not any(pids(status(state, expect=3)).values())
    quickstart(state)
    again = status(state)
    assert again["room"]["room_id"] == room and [node["homeserver"] for node in again["nodes"]] == \
        [acme["homeserver"], globex["homeserver"]]
    assert sign_in(again["nodes"][0], acme["accounts"][0]).get("/joined_rooms")["joined_rooms"] == [room]


def test_one_node_alone(state):
    shown = quickstart(state, "--single", "initech.localhost")
    report = status(state)
    assert [node["name"] for node in report["nodes"]] == ["initech.localhost"]
    assert "room" not in report and report["nodes"][0]["homeserver"] in shown
    sign_in(report["nodes"][0], report["nodes"][0]["accounts"][0]).get("/account/whoami")


def test_what_is_not_there(tmp_path):
    assert "nothing was started" in subprocess.run([QUICKSTART, "--status", "--state", tmp_path], capture_output=True, text=True,
                                                   check=False).stderr
    assert subprocess.run([QUICKSTART, "--nonsense"], capture_output=True, check=False).returncode == 2
