"""A node's life: start, stop, death and resurrection, as an administrator or a supervisor sees them."""

import os
import pathlib
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
import requests

import machine


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_stops_with_status_0_in_time(make_node, with_signal):
    node = make_node(fresh=True).start()
    began = time.monotonic()
    assert node.stop(with_signal) == 0
    assert time.monotonic() - began < 5 or "COMITY_SANITIZED" in os.environ
    assert node.postgres_pid() is None


@pytest.mark.slow
def test_stops_though_a_request_hangs(make_node):
    """A thread that waits for the database cannot be ended; the node ends all the same, in order."""
    node = make_node(fresh=True).start()
    alice = node.new_user("alice")
    alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice"})
    lock = threading.Thread(target=lambda: subprocess.run(
        node.psql("BEGIN; LOCK TABLE profile; SELECT pg_sleep(60)"), capture_output=True, timeout=90), daemon=True)
    lock.start()
    machine.wait_for(lambda: "1" in node.sql("SELECT 1 FROM pg_locks WHERE relation = 'profile'::regclass AND granted"), 10,
                     what="the lock")

    def ask():
        with pytest.raises(requests.ConnectionError):
            alice.request("GET", f"/profile/{alice.user_id}")

    threading.Thread(target=ask, daemon=True).start()
    machine.wait_for(lambda: "1" in node.sql("SELECT 1 FROM pg_locks WHERE relation = 'profile'::regclass AND NOT granted"), 10,
                     what="the request")
    assert node.stop(seconds=20) == 0
    assert "still at work" in node.log_text()
    assert node.postgres_pid() is None


def test_survives_stop_and_kill(make_node):
    node = make_node().start()
    node.stop()
    node.start()
    node.kill9()
    node.start()
    assert node.request("GET", "/_matrix/client/versions").status_code == 200
    node.kill9()


def test_stop_while_starting(make_node):
    """A signal that comes before the node is ready stops it as well, and in order."""
    node = make_node(fresh=True).launch()
    machine.wait_for(lambda: "Started the vault" in node.log_text(), what="the making of the database")
    assert node.stop(seconds=10) == 0
    assert node.postgres_pid() is None


def test_keeps_its_signing_key(make_node):
    node = make_node().start()
    key = node.folder / "data" / "signing.key"
    before = key.read_text()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    node.restart()
    assert key.read_text() == before


def test_refuses_the_database_of_another_server(make_node):
    """The name is part of every user id and event: it cannot change."""
    node = make_node("acme.localhost").start()
    assert node.stop() == 0
    node.settings["node"]["server_name"] = "other.localhost"
    node.launch()
    assert node.process.wait(timeout=30) == 1
    reason = "[node] server_name: the database is that of acme.localhost"
    assert reason in node.log_text()
    added = node.run("user", "add", "x", input="password\n")
    assert added.returncode == 1 and reason in added.stderr
    node.settings["node"]["server_name"] = "acme.localhost"
    assert node.start().stop() == 0


def test_tells_systemd_when_ready(make_node, monkeypatch):
    node = make_node()
    path = node.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        node.launch()
        assert b"READY=1" in listener.recv(1024)
        assert machine.accepts(node.port)
        node.stop()
        assert b"STOPPING=1" in listener.recv(1024)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody")
def test_becomes_the_user(make_node):
    node = make_node(fresh=True).start()
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert "0" not in fields["Uid"].split()
    assert "0" not in fields["Gid"].split()
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_root_may_not_serve(tmp_path):
    config = tmp_path / "comity.conf"
    config.write_text(f"[node]\nserver_name=a.example\ndata_dir={tmp_path}/data\n[listen main]\nport={machine.free_port()}\n")
    result = subprocess.run([machine.program(), "serve", "--config", str(config)], capture_output=True, text=True, timeout=20)
    assert result.returncode == 1
    assert "[node] user" in result.stderr
    assert not (tmp_path / "data").exists()


def test_taken_port_is_named(make_node):
    node = make_node()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", node.port))
        taken.listen()
        node.launch()
        assert node.process.wait(timeout=30) == 1
    assert "plain" in node.log_text()
    assert node.postgres_pid() is None
    node.process = None


def test_weak_settings_are_named_in_the_log(make_node):
    node = make_node(settings={"federation": {"device_names": True}}).start()
    warnings = [line["message"] for line in node.log_lines() if line["level"] == "warning"]
    for place in ("[registration] open", "[registration] guests", "[accounts] password_cost", "[limits] enabled",
                  "[outbound] allow", "[federation] device_names"):
        assert any(place in message for message in warnings), place


def test_log_is_json_lines(make_node):
    node = make_node().start()
    node.stop()
    lines = node.log_text().splitlines()
    assert len(lines) == len(node.log_lines()) > 5
    for line in node.log_lines():
        assert {"time", "level", "message"} <= line.keys()


def test_ipv6_and_several_listeners(make_node):
    node = make_node()
    port = machine.free_port()
    node.settings["listen six"] = {"address": "::1", "port": port, "serve": "client"}
    node.start()
    with socket.create_connection(("::1", port), timeout=5):
        pass


def test_a_port_is_not_shared_with_another_program(make_node):
    """Each loop has a socket of its own on the port, which must not let a second node in."""
    first, second = make_node("first.localhost").start(), make_node("second.localhost")
    second.port = first.port
    second.launch()
    assert second.process.wait(30) == 1
    assert f"cannot listen on 127.0.0.1 port {first.port}: Address already in use" in second.log_text()
    second.process = None
    assert requests.get(f"{first.url}/_matrix/client/versions", timeout=5).status_code == 200


def test_listener_serves_only_what_it_says(make_node):
    node = make_node()
    port = machine.free_port()
    node.settings["listen clients"] = {"address": "127.0.0.1", "port": port, "serve": "client"}
    node.start()
    assert requests.get(f"http://127.0.0.1:{port}/_matrix/client/versions", timeout=5).status_code == 200
    assert requests.get(f"http://127.0.0.1:{port}/_matrix/federation/v1/version", timeout=5).status_code == 404
