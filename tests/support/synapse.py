"""A Synapse of the present release, from PyPI, on SQLite: the homeserver that most partners run."""

import hashlib
import hmac
import os
import pathlib
import shutil
import subprocess
import sys
import time

import requests

import machine
from client import Client

VERSION = "1.163.2"
VENV = machine.REPOSITORY / "build-test" / f"synapse-{VERSION}"

CONFIG = """\
server_name: "{name}"
pid_file: {folder}/pid
report_stats: false
signing_key_path: {folder}/signing.key
macaroon_secret_key: "macaroon secret"
form_secret: "form secret"
registration_shared_secret: "registration secret"
suppress_key_server_warning: true
trusted_key_servers: []
ip_range_blacklist: []
federation_custom_ca_list: ["{ca}"]
media_store_path: {folder}/media
log_config: {folder}/log.yaml
allow_public_rooms_over_federation: true
room_list_publication_rules: [{{action: allow}}]
database: {{name: sqlite3, args: {{database: "{folder}/synapse.db"}}}}
tls_certificate_path: {certificate}
tls_private_key_path: {key}
listeners:
  - {{port: {port}, bind_addresses: ["127.0.0.1"], type: http, tls: false, resources: [{{names: [client]}}]}}
  - {{port: {federation_port}, bind_addresses: ["127.0.0.1"], type: http, tls: true, resources: [{{names: [federation, media]}}]}}
rc_message: {{per_second: 1000, burst_count: 1000}}
rc_registration: {{per_second: 1000, burst_count: 1000}}
rc_login: {{address: {{per_second: 1000, burst_count: 1000}}, account: {{per_second: 1000, burst_count: 1000}}}}
rc_joins: {{local: {{per_second: 1000, burst_count: 1000}}, remote: {{per_second: 1000, burst_count: 1000}}}}
rc_invites: {{per_room: {{per_second: 1000, burst_count: 1000}}, per_user: {{per_second: 1000, burst_count: 1000}}}}
federation: {{destination_min_retry_interval: 1s, destination_max_retry_interval: 2s}}
"""

LOG = """\
version: 1
formatters: {{plain: {{format: "%(asctime)s %(name)s %(levelname)s %(message)s"}}}}
handlers: {{file: {{class: logging.FileHandler, filename: {folder}/log, formatter: plain}}}}
root: {{level: INFO, handlers: [file]}}
"""


def install():
    """The program, installed on the first use."""
    if not (VENV / "installed").exists():
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([VENV / "bin" / "pip", "install", "-q", f"matrix-synapse=={VERSION}"], check=True, timeout=600)
        (VENV / "installed").touch()
    return VENV / "bin" / "python"


class Synapse:
    """Looks to tests as a Node does: url, ca, server_name, federation_port, start(), stop(), new_user()."""

    ca = None

    def __init__(self, authority):
        self.folder = pathlib.Path(machine.make_folder())
        self.port, self.federation_port = machine.free_port(), machine.free_port()
        self.server_name = f"localhost:{self.federation_port}"
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self._users = 0
        certificate, key = authority.issue("localhost")
        values = {"name": self.server_name, "folder": self.folder, "ca": authority.ca, "certificate": certificate, "key": key,
                  "port": self.port, "federation_port": self.federation_port}
        (self.folder / "homeserver.yaml").write_text(CONFIG.format(**values))
        (self.folder / "log.yaml").write_text(LOG.format(**values))

    def start(self):
        command = [install(), "-m", "synapse.app.homeserver", "-c", self.folder / "homeserver.yaml"]
        if not (self.folder / "signing.key").exists():
            subprocess.run([*command, "--generate-keys"], check=True, capture_output=True)
        environment = {name: value for name, value in os.environ.items() if "SAN_OPTIONS" not in name}
        with open(self.folder / "output", "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        machine.wait_for(lambda: self.process.poll() is not None or machine.accepts(self.port), 60, what="Synapse")
        assert self.process.poll() is None, (self.folder / "output").read_text()[-4000:]
        return self

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_text(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def new_user(self, prefix="user"):
        """A client signed in as a new account, by Synapse's registration with the shared secret."""
        self._users += 1
        name, password = f"{prefix}{self._users}-{time.monotonic_ns() % 100000}", "correct horse"
        nonce = requests.get(f"{self.url}/_synapse/admin/v1/register", timeout=30).json()["nonce"]
        mac = hmac.new(b"registration secret", "\0".join((nonce, name, password, "notadmin")).encode(), hashlib.sha1)
        body = {"nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac.hexdigest()}
        requests.post(f"{self.url}/_synapse/admin/v1/register", json=body, timeout=30).raise_for_status()
        return Client(self).login(name, password)
