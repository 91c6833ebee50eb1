"""The edge of a whole node, as an attacker finds it: old names of routes, sizes that wrap, texts that break out, clients that go."""

import concurrent.futures
import itertools
import json
import random
import socket
import ssl
import threading
import time

import pytest

from client import Client, quote

# Routes that give something away or change something, and what one might put in front of them.
PREFIXES = ["/_matrix/client/r0", "/_matrix/client/v1", "/_matrix/client/v3", "/_matrix/client/api/v1", "/_matrix/client/v2_alpha",
            "/_matrix/client/unstable", "/_matrix/client/versions/..", "/_matrix/client", "/_matrix//client/r0"]


@pytest.fixture(scope="module")
def closed(authority):
    """A node on which nobody may register, with a TLS listener for other servers and clients."""
    from conftest import finish
    from node import Node
    node = Node("closed.localhost", {"registration": {"open": False, "guests": False, "shared_secret": None}},
                tls=authority.issue("closed.localhost"), ca=authority.ca).start()
    yield node
    finish(node)


def test_legacy_endpoint_bypass(closed):
    """No older or odder name of a route is bound by less."""
    anybody = Client(closed)
    account = {"username": "mallory", "password": "correct horse", "auth": {"type": "m.login.dummy"}}
    admin = {"nonce": "n", "username": "mallory", "password": "p", "admin": True, "mac": "0" * 40}
    for prefix, slash in itertools.product(PREFIXES, ("", "/", "//")):
        for method, path, body in (
                ("POST", "/register", account), ("POST", "/register?kind=guest", {}), ("POST", "/register", {**account, "type": "m.login.password", "user": "mallory"}),
                ("POST", "/login", {"type": "m.login.password", "user": "mallory", "password": "p"}),
                ("POST", "/login", {"type": "m.login.token", "token": "t"}), ("POST", "/admin/register", admin),
                ("PUT", "/admin/users/@mallory:closed.localhost", {"password": "p"}), ("POST", "/createRoom", {}),
                ("GET", "/admin/whois/@mallory:closed.localhost", None), ("GET", "/sync", None)):
            path, _, query = path.partition("?")
            answer = anybody.request(method, prefix + path + slash + (f"?{query}" if query else ""), json=body)
            assert answer.status_code in (400, 401, 403, 404, 405), (method, prefix + path + slash, answer.status_code, answer.text)
            assert "access_token" not in answer.text
    for path in ("/_synapse/admin/v1/register", "/_synapse/admin/v1/register/", "/_matrix/client/r0/admin/register", "/_synapse/admin/r0/register"):
        assert anybody.request("POST", path, json=admin).status_code in (400, 403, 404), path
    assert "mallory" not in closed.run("user", "list").stdout


def test_graphql_complexity(node, user):
    """There is no such thing here."""
    aliases = "{" + " ".join(f"a{number}: viewer {{ id }}" for number in range(1000)) + "}"
    for path in ("/graphql", "/graphql/", "/api/graphql", "/_matrix/graphql", "/_matrix/client/graphql", "/account/graphql"):
        answer = user.request("POST", path, json={"query": aliases})
        assert (answer.status_code, answer.json()["errcode"]) == (404, "M_UNRECOGNIZED"), path
        assert user.request("GET", path, params={"query": "{__schema{types{name}}}"}).status_code == 404


def test_CVE_2020_26891_html_xss(node, user):
    """No page that could run a script: what is not JSON is a file, and what an error repeats is inside JSON."""
    script = "<script>alert(1)</script>"
    for path in (f"/_matrix/client/v3/auth/m.login.recaptcha/fallback/web?session={quote(script)}", f"/_matrix/client/v3/{quote(script)}",
                 f"/_matrix/static/client/login/?x={quote(script)}", f"/_matrix/consent?u={quote(script)}", f"/{quote(script)}", "/",
                 f"/_matrix/client/v3/login/sso/redirect?redirectUrl=javascript:{quote(script)}",
                 f"/_matrix/client/v3/profile/{quote(script)}", f"/_matrix/client/v3/register/available?username={quote(script)}"):
        for method in ("GET", "POST"):
            answer = user.request(method, path, headers={"Accept": "text/html"})
            assert answer.status_code >= 400
            assert answer.headers["Content-Type"] == "application/json", path
            assert isinstance(answer.json()["errcode"], str), path


# Raw connections

def talk(port, data, *, tls=None, seconds=5):
    """What comes back until the other side closes or says nothing for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as plain:
        connection = tls.wrap_socket(plain, server_hostname="closed.localhost") if tls else plain
        connection.sendall(data)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, OSError):
            pass
        return answer


def head(line, *fields):
    return "\r\n".join([line, "Host: closed.localhost", *fields, "", ""]).encode("latin-1")


def lenient_tls(authority, *protocols):
    context = ssl.create_default_context(cafile=str(authority.ca))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def test_CVE_2025_32908_http_parser_safety(closed, authority):
    """Only HTTP/1.1 is spoken, whatever TLS offers, and header parameters of any bytes are no danger."""
    context = lenient_tls(authority, "h2", "http/1.1")
    with socket.create_connection(("127.0.0.1", closed.federation_port), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname="closed.localhost") as secure:
            assert secure.selected_alpn_protocol() != "h2"
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\4\3\0\0\0\0\1\0\0\0\0" * 1000
    answer = talk(closed.federation_port, preface, tls=lenient_tls(authority))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 505") or answer.startswith(b"HTTP/1.1 400")
    for kind in ("application/json; charset*=utf-8''%ff%fe", "application/json; charset=\xff\xfe", "\xe4\xf6", "application/json;;;=;\"",
                 "multipart/form-data; boundary=" + "x" * 5000, "text/plain; a*0*=utf-8''%; a*1=%", "/", ";"):
        body = b'{"type":"m.login.password"}'
        data = head("POST /_matrix/client/v3/login HTTP/1.1", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close") + body
        status = int(talk(closed.port, data).split()[1])
        assert 400 <= status < 500, kind
    assert Client(closed).get("/_matrix/client/versions", token=None)


@pytest.mark.parametrize("size", [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 5])
def test_CVE_2021_27219_integer_overflow(closed, size):
    """Sizes that wrap somewhere are too large before a byte of them is taken."""
    for method, path in (("POST", "/_matrix/client/v3/login"), ("POST", "/_matrix/media/v3/upload"), ("PUT", "/_matrix/federation/v1/send/1")):
        began = time.monotonic()
        answer = talk(closed.port, head(f"{method} {path} HTTP/1.1", f"Content-Length: {size}") + b"x" * 5)
        assert int(answer.split()[1]) in (400, 401, 413), (method, path, answer[:200])
        assert time.monotonic() - began < 4
    # Chunks announce sizes too.
    chunk = f"{size:x}\r\n".encode() + b"x" * 5
    answer = talk(closed.port, head("POST /_matrix/client/v3/login HTTP/1.1", "Transfer-Encoding: chunked") + chunk, seconds=0.3)
    assert answer == b"" or int(answer.split()[1]) in (400, 413)


def test_CVE_2021_27219_integer_overflow_of_parameters(user):
    """Numbers in queries and bodies are in range, or are none."""
    room = user.create_room()
    event = user.send(room, "x")
    for number in (2**31 - 1, 2**31, 2**32 + 1, 2**53, 2**63, 2**64 + 1, -1, -2**31, -2**63, "1e9", "0x10", "+5", " 5", "5 ", "٣"):
        for path, query in ((f"/rooms/{room}/messages", {"dir": "b", "limit": number}), (f"/rooms/{room}/context/{event}", {"limit": number}),
                            ("/sync", {"timeout": 0, "since": number}), ("/publicRooms", {"limit": number}), ("/notifications", {"limit": number}),
                            (f"/rooms/{room}/timestamp_to_event", {"ts": number, "dir": "f"})):
            answer = user.request("GET", path, params=query)
            assert answer.status_code in (200, 400, 404), (path, number, answer.text)
    for number in (2**31, 2**53 - 1, -1):
        assert user.request("POST", "/user_directory/search", json={"search_term": "x", "limit": number}).status_code in (200, 400)
        assert user.request("POST", "/search", json={"search_categories": {"room_events": {"search_term": "x", "filter": {"limit": number}}}}).status_code in (200, 400)
    assert user.request("POST", "/login", data=b'{"type":"m.login.password","identifier":{"type":"m.id.user","user":"' + b"\\u0001" * 10000000 + b'"}}').status_code == 413


INJECTIONS = ["'", '"', "\\", "''; DROP TABLE event; --", "%", "_", ":*", "& !", "| a", "a' OR '1'='1", "\\'", "$1", "$$", "E'\\x41'", "\uff07", "¿'",
              "x); SELECT pg_sleep(30); --", "\x1b", "{}", "{a,b}", "NULL", "'::bigint"]


def test_CVE_2025_1094_sql_injection(node):
    """Whatever stands where a value is meant, it stays a value."""
    user, other = node.new_user("alice"), node.new_user("other")
    room = user.create_room()
    user.send(room, "harmless words")
    before = node.sql("SELECT count(*) FROM event").strip()
    for text in INJECTIONS:
        began = time.monotonic()
        answers = [
            user.request("GET", "/sync", params={"since": text, "timeout": 0}),
            user.request("GET", "/sync", params={"filter": text, "timeout": 0}),
            user.request("GET", f"/rooms/{room}/messages", params={"dir": text, "from": text}),
            user.request("GET", f"/rooms/{room}/messages", params={"dir": "b", "from": text, "filter": json.dumps({"types": [text], "senders": [text]})}),
            user.request("GET", f"/rooms/{quote(text)}/messages", params={"dir": "b"}),
            user.request("GET", f"/rooms/{room}/event/{quote(text)}"),
            user.request("GET", f"/rooms/{room}/relations/{quote(text)}/{quote(text)}/{quote(text)}", params={"from": text}),
            user.request("GET", f"/profile/{quote(text)}"),
            user.request("GET", f"/directory/room/{quote(text)}"),
            user.request("GET", "/publicRooms", params={"since": text, "limit": text}),
            user.request("POST", "/publicRooms", json={"filter": {"generic_search_term": text}, "since": text}),
            user.request("POST", "/user_directory/search", json={"search_term": text}),
            user.request("POST", "/search", json={"search_categories": {"room_events": {
                "search_term": text, "order_by": text, "keys": [text], "filter": {"rooms": [text], "types": [text]}}}}),
            user.request("POST", "/search", params={"next_batch": text}, json={"search_categories": {"room_events": {"search_term": text}}}),
            user.request("POST", "/login", json={"type": "m.login.password", "identifier": {"type": "m.id.user", "user": text}, "password": text}),
            user.request("GET", "/sync", token=text) if text.isascii() and text.isprintable() else None,
            user.request("PUT", f"/user/{user.user_id}/account_data/{quote(text)}", json={text: text}),
            user.request("GET", f"/keys/changes", params={"from": text, "to": text}),
            user.request("GET", "/notifications", params={"from": text, "only": text}),
            other.request("PUT", f"/devices/{quote(text)}", json={"display_name": text}),
        ]
        for answer in filter(None, answers):
            assert answer.status_code < 500, (text, answer.request.url, answer.text)
            assert not any(word in answer.text for word in ("SELECT ", "syntax error", "pg_")) or text in answer.text, (text, answer.text)
        assert user.get(f"/user/{user.user_id}/account_data/{quote(text)}") == {text: text}
        assert time.monotonic() - began < 20, text
    for wild in ("%", "_", "har%", "harmles_", ":*", "h*"):
        found = user.post("/search", {"search_categories": {"room_events": {"search_term": wild}}})
        assert found["search_categories"]["room_events"].get("results", []) == [], wild
    assert node.sql("SELECT count(*) FROM event").strip() == before


# Clients that go

STAGES = [b"", b"G", b"GET /_matrix/client/v3/sync HTTP/1.1\r\nHo", head("POST /_matrix/client/v3/login HTTP/1.1", "Content-Length: 100"),
          head("POST /_matrix/client/v3/login HTTP/1.1", "Content-Length: 100") + b'{"type":', head("POST /_matrix/client/v3/login HTTP/1.1", "Transfer-Encoding: chunked") + b"5\r\n{\"a",
          head("PUT /_matrix/federation/v1/send/1 HTTP/1.1", "Content-Length: 1000") + b"{", head("GET /_matrix/client/versions HTTP/1.1"),
          head("POST /_matrix/client/v3/login HTTP/1.1", "Expect: 100-continue", "Content-Length: 50000")]


def leave_rudely(connection):
    """With a reset, or as one who stops talking."""
    if random.random() < 0.5:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@pytest.mark.slow
def test_CVE_2026_2436_use_after_free_by_clients_that_go(closed, authority):
    """Thousands of clients go at every stage of a connection, of TLS, and of a request that is under way."""
    added = closed.run("user", "add", "runner", input="correct horse\n")
    assert added.returncode == 0, added.stderr
    runner = Client(closed).login("runner", "correct horse")
    room = runner.create_room()
    bearer = f"Authorization: Bearer {runner.token}"
    login = json.dumps({"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "runner"}, "password": "wrong"}).encode()
    stages = STAGES + [
        head("GET /_matrix/client/v3/sync?timeout=30000 HTTP/1.1", bearer), head("GET /_matrix/client/v3/sync?timeout=0 HTTP/1.1", bearer),
        head("POST /_matrix/client/v3/login HTTP/1.1", f"Content-Length: {len(login)}") + login,
        head(f"PUT /_matrix/client/v3/rooms/{quote(room)}/typing/{quote(runner.user_id)} HTTP/1.1", bearer, "Content-Length: 30") + b'{"typing":true,"timeout":10000',
        head("GET /_matrix/client/v3/profile/@a:nowhere.test HTTP/1.1", bearer),
        head("POST /_matrix/client/v3/join/!a:nowhere.test?via=nowhere.test HTTP/1.1", bearer, "Content-Length: 2") + b"{}",
    ]
    context = lenient_tls(authority)
    hello = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="closed.localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = hello.read()

    def visit(number):
        stage = stages[number % len(stages)]
        with_tls = number % 3 == 0
        connection = socket.create_connection(("127.0.0.1", closed.federation_port if with_tls else closed.port), timeout=5)
        try:
            if with_tls and number % 2:
                connection.sendall(hello[:number % len(hello) + 1])
            else:
                connection = context.wrap_socket(connection, server_hostname="closed.localhost") if with_tls else connection
                connection.sendall(stage)
            time.sleep(random.choice((0, 0, 0.002, 0.02)))
        except OSError:
            pass
        leave_rudely(connection)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(visit, range(2400)))
    assert closed.running()
    assert runner.sync()["next_batch"]
    assert closed.stop() == 0
    closed.start()


@pytest.mark.slow
def test_use_after_free_in_storms(node):
    """Rooms, devices, polls and pushers end while others use them."""
    owner = node.new_user("owner")
    room = owner.create_room(preset="public_chat")
    people = [node.new_user("guest") for _ in range(6)]
    end = time.monotonic() + 8
    statuses, lock = {}, threading.Lock()

    def note(what, answer):
        with lock:
            statuses.setdefault((what, answer.status_code), answer.text[:200])

    def storm(person, chance):
        known = person.twin()
        while time.monotonic() < end:
            what = chance.choice(("join", "leave", "forget", "send", "sync", "device", "logout", "pusher", "upgrade", "typing", "kick"))
            if what == "device":
                fresh = known.another_device()
                polling = threading.Thread(target=lambda: note("held", fresh.twin().request("GET", "/sync", params={"timeout": 500})))
                polling.start()
                note(what, fresh.request("POST", "/logout", json={}))
                polling.join()
            elif what == "logout":
                known.another_device()
                note(what, known.request("POST", "/logout/all", json={}))
                known.login(person.user_id, person.password)
            elif what == "sync":
                note(what, known.request("GET", "/sync", params={"timeout": 50}))
            elif what == "pusher":
                note(what, known.request("POST", "/pushers/set", json={"app_id": "a", "pushkey": "k", "kind": chance.choice(("http", None)),
                                                                        "app_display_name": "a", "device_display_name": "d", "lang": "en",
                                                                        "data": {"url": "https://push.test/_matrix/push/v1/notify"}}))
            elif what == "typing":
                note(what, known.request("PUT", f"/rooms/{room}/typing/{person.user_id}", json={"typing": True, "timeout": 20}))
            elif what == "kick":
                note(what, owner.twin().request("POST", f"/rooms/{room}/kick", json={"user_id": person.user_id}))
            elif what == "upgrade":
                own = known.request("POST", "/createRoom", json={}).json().get("room_id")
                note(what, known.request("POST", f"/rooms/{own}/leave", json={}))
                note(what, known.request("POST", f"/rooms/{own}/forget", json={}))
            elif what == "send":
                note(what, known.request("PUT", f"/rooms/{room}/send/m.room.message/{chance.random()}", json={"body": "x", "msgtype": "m.text"}))
            else:
                note(what, known.request("POST", f"/rooms/{room}/{what}", json={}))

    threads = [threading.Thread(target=storm, args=(person, random.Random(number))) for number, person in enumerate(people * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a request is stuck"
    assert not [key for key in statuses if key[1] >= 500], statuses
    assert owner.send(room, "calm again")
