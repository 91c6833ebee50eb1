"""Secrets: made at random, kept in private files, and never told to logs or strangers."""

import hashlib
import hmac
import os
import signal
import socket
import stat
import time

import pytest


def raw_request(node, lines):
    """Sends bytes as they are and returns what comes back."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as connection:
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_CVE_2019_5885_secrets_of_fresh_nodes_differ(make_node):
    """predictable-secret: nodes of the same name and settings share no key."""
    keys = set()
    for _ in range(4):
        node = make_node("same.localhost").start()
        node.stop()
        for name in ("signing.key", "vault.key"):
            path = node.folder / "data" / name
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            keys.add(path.read_text().split()[-1])
    assert len(keys) == 8


@pytest.mark.parametrize("secret", [None, ""])
def test_CVE_2019_5885_no_secret_means_no_registration_with_it(make_node, secret):
    """predictable-secret: an absent or empty shared secret is no secret that can be known."""
    node = make_node(settings={"registration": {"shared_secret": secret}}).start()
    nonce = node.request("GET", "/_synapse/admin/v1/register").json().get("nonce", "nonce")
    mac = hmac.new(b"", f"{nonce}\0eve\0password\0admin".encode(), hashlib.sha1).hexdigest()
    answer = node.request("POST", "/_synapse/admin/v1/register",
                          json={"nonce": nonce, "username": "eve", "password": "password", "admin": True, "mac": mac})
    assert answer.status_code >= 400
    assert "access_token" not in answer.text


@pytest.fixture(scope="module")
def noisy(node):
    """The shared node's log after requests that try to write into it."""
    before = len(node.log_text())
    raw_request(node, [b"GET /_matrix/client/versions%0D%0Aforged%1B[31m HTTP/1.1", b"Host: localhost",
                       b"User-Agent: evil\x1b[31mred\x9b\x07", b"Connection: close"])
    node.request("GET", "/_matrix/client/v3/account/whoami?access_token=tell-tale-token")
    node.request("GET", "/_matrix/client/v3/account/whoami", headers={"Authorization": "Bearer tell-tale-bearer"})
    node.request("POST", "/_matrix/client/v3/login",
                 json={"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "nobody"}, "password": "tell-tale-password"})
    node.request("POST", "/_matrix/client/v3/login", data=b'{"password": "tell-tale-broken", ')
    time.sleep(0.3)
    return node.log_text()[before:]


def test_class_log_and_error_disclosure_lines_are_not_forged(noisy):
    assert "\x1b" not in noisy and "\r" not in noisy and "\x07" not in noisy and "\x9b" not in noisy
    for line in noisy.splitlines():
        assert line.startswith('{"time":'), line


def test_class_log_and_error_disclosure_no_secret_in_the_log(noisy):
    assert "/account/whoami" in noisy
    assert "tell-tale" not in noisy


def test_class_log_and_error_disclosure_database_loss(make_node):
    """Without its database the node answers M_UNKNOWN and tells nothing of what is inside."""
    node = make_node().start()
    user = node.client("ada")
    pid = node.postgres_pid()
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    answer = user.request("POST", "/login", token=None, timeout=60, json={
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": "ada"}, "password": "correct horse"})
    if answer.status_code != 200:  # PostgreSQL may be back already
        assert answer.status_code in (500, 503)
        assert answer.json()["errcode"] == "M_UNKNOWN"
    for inside in ("SELECT", "libpq", "socket", str(node.folder), "server closed", ".c:"):
        assert inside not in answer.text
    assert "correct horse" not in node.log_text()
