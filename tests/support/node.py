"""One comity node under test: its configuration, its process, its log."""

import atexit
import copy
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import time

import requests

import machine
from client import Client

# A node for tests: what a suite needs, and nothing that asks the outside world.
SETTINGS = {
    "node": {"log_level": "debug"},
    "registration": {"open": True, "guests": True, "shared_secret": "registration secret"},
    "accounts": {"password_cost": "minimum"},
    "federation": {"public_rooms": True},
    "outbound": {"allow": "127.0.0.0/8;::1"},
    "limits": {"enabled": False},
}

# Lines of the log that no test may cause: GLib's own complaints, and what a sanitizer says.
BAD_LOG = ("GLib-CRITICAL", '"domain":"GLib', '"domain":"libsoup', "AddressSanitizer", "LeakSanitizer", "runtime error:")


def run_as(user):
    """For subprocess: become the test user before the program starts."""
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


class Template:
    """A migrated, empty private database that new nodes get a copy of: initdb takes longer than all the rest of a start."""

    folder = None

    @classmethod
    def copy_to(cls, data_dir):
        if cls.folder is None:
            cls._make()
        data_dir.mkdir(mode=0o700)
        subprocess.run(["cp", "-a", "--reflink=auto", str(cls.folder / "data" / "postgresql"), str(data_dir)], check=True)
        if machine.test_user():
            shutil.chown(data_dir, machine.test_user(), pwd.getpwnam(machine.test_user()).pw_gid)

    @classmethod
    def _make(cls):
        node = Node("template.localhost", fresh=True)
        Node.all.remove(node)
        node.write_config()
        cls.folder = node.folder
        atexit.register(shutil.rmtree, cls.folder, ignore_errors=True)
        made = node.run("migrate")
        assert made.returncode == 0, made.stderr


def text_of(value):
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


class Node:
    """start() returns once the listeners accept; `url` is the client side, `federation_port` the TLS port if there is one."""

    all = []

    def __init__(self, server_name="localhost", settings=None, *, tls=None, ca=None, fresh=False):
        """settings: {group: {key: value}} over SETTINGS; None as value takes a key away. tls: (certificate, key) adds a TLS
        listener that serves client and federation, ca: the file that clients trust for it. fresh: the first start finds nothing and makes its
        database itself."""
        self.server_name = server_name
        self.ca = ca
        self.folder = machine.make_folder()
        self.port = machine.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.federation_port = machine.free_port() if tls else None
        self.process = None
        self._tls = tls
        self._fresh = fresh
        self.settings = copy.deepcopy(SETTINGS)
        for group, keys in (settings or {}).items():
            self.settings.setdefault(group, {}).update(keys)
        Node.all.append(self)

    # Configuration

    @property
    def config(self):
        return self.folder / "comity.conf"

    @property
    def log(self):
        return self.folder / "log"

    def _groups(self):
        groups = copy.deepcopy(self.settings)
        groups["node"] = {"server_name": self.server_name, "data_dir": self.folder / "data",
                          "public_baseurl": self.url, **groups["node"]}
        if machine.test_user():
            groups["node"]["user"] = machine.test_user()
        groups["listen plain"] = {"address": "127.0.0.1", "port": self.port, "serve": "client;federation;admin"}
        if self._tls:
            groups["listen tls"] = {"address": "127.0.0.1", "port": self.federation_port, "serve": "client;federation",
                                    "tls_certificate": self._tls[0], "tls_key": self._tls[1]}
        return groups

    def write_config(self):
        lines = []
        for group, keys in self._groups().items():
            lines.append(f"[{group}]")
            lines += [f"{key} = {text_of(value)}" for key, value in keys.items() if value is not None]
        self.config.write_text("\n".join(lines) + "\n")

    # Process

    def launch(self):
        """Starts the process and does not wait."""
        assert not self.running(), "the node runs already"
        self.write_config()
        self._prepare_database()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([machine.program(), "serve", "--config", str(self.config)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._identity())
        return self

    def _prepare_database(self):
        own = self.settings.get("database", {}).get("dsn")
        if not self._fresh and not own and not (self.folder / "data").exists():
            Template.copy_to(self.folder / "data")

    def _identity(self):
        # LeakSanitizer cannot look into a process that changed its user: become it before the program starts.
        return run_as(machine.test_user()) if "COMITY_SANITIZED" in os.environ else {}

    def start(self, seconds=60):
        self.launch()
        ports = [self.port] + ([self.federation_port] if self.federation_port else [])
        machine.wait_for(lambda: not self.running() or all(machine.accepts(port) for port in ports), seconds,
                         what="the listeners")
        assert self.running(), f"the node did not start:\n{self.log_text()[-4000:]}"
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, with_signal=signal.SIGTERM, seconds=5):
        """Stops it as an administrator would and returns the exit status (0 if it did as it should)."""
        if not self.running():
            return self.process.returncode if self.process else None
        self.process.send_signal(with_signal)
        # A sanitizer looks for leaks at the end, which takes its time.
        return self.process.wait(timeout=seconds * (6 if "COMITY_SANITIZED" in os.environ else 1))

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        assert self.stop() == 0
        return self.start()

    def remove(self):
        """The end: stops it (its private PostgreSQL too, if a kill left one) and removes its folder."""
        if self.running():
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill9()
        self._stop_cluster()
        shutil.rmtree(self.folder, ignore_errors=True)
        Node.all.remove(self)

    def postgres_pid(self):
        """The process id of the private cluster's postmaster; None when it does not run."""
        for path in self.folder.glob("data/**/postmaster.pid"):
            pid = int(path.read_text().split()[0])
            if os.path.exists(f"/proc/{pid}"):
                return pid
        return None

    def _stop_cluster(self):
        pid = self.postgres_pid()
        if pid:
            os.kill(pid, signal.SIGQUIT)
            machine.wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 10, what="PostgreSQL's end")

    def psql(self, query):
        """The command that asks the private database."""
        socket = next(path for path in self.folder.glob("data/**/.s.PGSQL.5432"))
        return ["psql", "-h", str(socket.parent), "-U", "comity", "-d", "comity", "-v", "ON_ERROR_STOP=1", "-AtqXc", query]

    def sql(self, query):
        """What the private database answers to a query: a line for each row, columns separated by |."""
        return subprocess.run(self.psql(query), check=True, capture_output=True, text=True, timeout=30).stdout

    # What it says

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_lines(self):
        """The log's JSON lines as dictionaries."""
        return [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]

    def complaints(self):
        """The lines that no test may cause, and behind a sanitizer's what it found."""
        text = self.log_text()
        lines = [line for line in text.splitlines() if any(bad in line for bad in BAD_LOG) and '"level":"debug"' not in line]
        return lines + [text[found.start():][:4000] for found in re.finditer(r"^==\d+==ERROR", text, re.M)][:1]

    def run(self, *arguments, **more):
        """Runs `comity ARGUMENTS --config` of this node; returns the finished process, its output as text."""
        return subprocess.run([machine.program(), *arguments, "--config", str(self.config)], capture_output=True, text=True,
                              timeout=60, **{**self._identity(), **more})

    # Clients

    def client(self, localpart=None, **more):
        """A client; signed in as a new account when a localpart is given (register it in one test only, or use new_user)."""
        client = Client(self)
        return client.register(localpart, **more) if localpart else client

    _counter = 0

    def new_user(self, prefix="user"):
        """A client signed in as an account that nobody else uses."""
        Node._counter += 1
        return self.client(f"{prefix}{Node._counter}-{time.monotonic_ns() % 100000}")

    def request(self, method, path, **more):
        """A request without a token, at a full path ("/_matrix/...")."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + path, timeout=more.pop("timeout", 60), **more)

    @property
    def federation_url(self):
        return f"https://127.0.0.1:{self.federation_port}"


def resolve_each_other(servers):
    """Tells each node where the others (nodes, or peers of fedpeer.py) are, by [federation] resolve."""
    nodes = [server for server in servers if isinstance(server, Node)]
    places = [(server.server_name, server.federation_port) if server in nodes else (server.name, server.port)
              for server in servers]
    table = ";".join(f"{name}=127.0.0.1:{port}" for name, port in places)
    for node in nodes:
        node.settings.setdefault("federation", {}).update({"resolve": table, "ca_file": node.ca})
