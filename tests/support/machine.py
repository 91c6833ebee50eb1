"""What the tests need of the machine: a user to become, short-lived folders, free ports."""

import fcntl
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TEST_USER = "comity-test"


def program():
    """The program under test: $COMITY, or the newest build in a folder of the repository."""
    if "COMITY" in os.environ:
        return os.environ["COMITY"]
    builds = [REPOSITORY / folder / "server" / "comity" for folder in ("build-test", "build")]
    builds = [path for path in builds if path.exists()]
    if not builds:
        raise RuntimeError("there is no build: run tests/run, or set COMITY to the program")
    return str(max(builds, key=lambda path: path.stat().st_mtime))


def test_user():
    """Whom to become when root runs the tests (neither the node nor PostgreSQL will run as root); None otherwise."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(TEST_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", TEST_USER],
                       check=False, capture_output=True)
    return TEST_USER


def make_folder():
    """A folder that the test user owns, with a short name: the path of a unix socket has at most 107 bytes."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cm-"))
    folder.chmod(0o755)
    if test_user():
        shutil.chown(folder, test_user(), pwd.getpwnam(test_user()).pw_gid)
    return folder


class Ports:
    """Ports beneath those that the kernel gives to connections, in blocks that a run of tests locks for itself: what was found
    free is still free when a node binds it, or binds it again, whatever else runs on the machine."""

    FIRST, LAST, SIZE = 12000, 32000, 500

    def __init__(self):
        self._lock = self._next = self._first = None

    def _take_block(self):
        folder = pathlib.Path("/tmp/comity-test-ports")
        folder.mkdir(exist_ok=True)
        for first in range(self.FIRST, self.LAST, self.SIZE):
            self._lock = open(folder / str(first), "w", encoding="ascii")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                continue
            self._first = self._next = first
            return
        raise RuntimeError("every block of ports is locked by some run of the tests")

    def take(self):
        if self._first is None:
            self._take_block()
        for _ in range(self.SIZE):
            port, self._next = self._next, self._next + 1
            if self._next == self._first + self.SIZE:
                self._next = self._first
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    return port
        raise RuntimeError("no port of the block is free")


free_port = Ports().take


def wait_for(condition, seconds=10, every=0.02, what="something"):
    """Waits until condition() is true and returns what it returned; fails after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(every)


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
