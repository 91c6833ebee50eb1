"""Who signed a request: the X-Matrix scheme, keys, and texts that are no JSON."""

import json

import pytest

import fedevents
from e2ee import b64, canonical
from fedpeer import Peer, PeerRoom, SigningKey, now, quote
from node import Node, resolve_each_other

pytestmark = pytest.mark.peers

DANA = "@dana:peer.test"
PROFILE = "/_matrix/federation/v1/query/profile?user_id=%40nobody%3Aacme.localhost"
SIGNED, REFUSED = 404, 401  # what the profile of nobody gives


def status(peer, node, target=PROFILE, headers=None, method="GET", content=None):
    return peer.request(node, method, target, content, headers=headers).status_code


def fields(peer, node, target=PROFILE):
    header = peer.authorization("GET", target, node.server_name)
    return dict(part.split("=", 1) for part in header[len("X-Matrix "):].split(","))


def test_x_matrix_parsing(federated):
    """Legal spellings of the header are understood, all others give 401."""
    node, peer, _ = federated
    good = fields(peer, node)
    names = ("origin", "destination", "key", "sig")
    bare = {name: good[name].strip('"') for name in names}

    def spell(pattern, *order):
        return ",".join(pattern.format(name, bare[name]) for name in order or names)

    legal = [
        "X-Matrix " + spell('{}="{}"'),
        "X-Matrix " + spell('{}="{}"', *reversed(names)),
        "x-matrix " + spell('{}="{}"'),
        "X-MATRIX   " + spell('{}="{}"'),
        "X-Matrix " + spell(' {} = "{}" '),
        "X-Matrix " + spell('{}\t=\t"{}"'),
        "X-Matrix " + ",".join(f'{name.upper()}="{bare[name]}"' for name in names),
        "X-Matrix " + spell('{}="{}"') + ',extension="whatever"',
        "X-Matrix " + f'origin={bare["origin"]},destination={bare["destination"]},key="{bare["key"]}",sig="{bare["sig"]}"',
        "X-Matrix " + f'origin={bare["origin"]},destination={bare["destination"]},key={bare["key"]},sig="{bare["sig"]}"',
        "X-Matrix " + 'origin="\\p\\eer.test",' + spell('{}="{}"', "destination", "key", "sig"),
    ]
    illegal = [
        "X-Matrix",
        "X-Matrix ",
        "X-Matrix ,,,",
        "Basic " + spell('{}="{}"'),
        "X-Matrixx " + spell('{}="{}"'),
        *["X-Matrix " + spell('{}="{}"', *[other for other in names if other != name]) for name in ("origin", "key", "sig")],
        *["X-Matrix " + spell('{}="{}"') + f',{name}="{bare[name]}"' for name in names],
        "X-Matrix " + spell('{}="{}'),
        "X-Matrix " + spell('{}"{}"'),
        "X-Matrix " + spell("{}='{}'"),
        "X-Matrix " + spell('{}="{}" junk'),
        "X-Matrix " + spell('{}="{}"').replace("peer.test", "third.test"),
        "X-Matrix " + spell('{}="{}"').replace("peer.test", "acme.localhost"),
        "X-Matrix " + spell('{}="{}"').replace("peer.test", "peer.test/../x"),
        "X-Matrix " + spell('{}="{}"').replace("ed25519:peer", "ed25519:other"),
        "X-Matrix " + spell('{}="{}"').replace(bare["sig"], bare["sig"][:-1]),
        "X-Matrix " + spell('{}="{}"').replace(bare["sig"], "A" * 86),
        "X-Matrix " + spell('{}="{}"') + ',long="' + "x" * 9000 + '"',
    ]
    for header in legal:
        assert status(peer, node, headers={"Authorization": header}) == SIGNED, header
    for header in illegal:
        assert status(peer, node, headers={"Authorization": header}) in (REFUSED, 431), header
    assert status(peer, node, headers={"Accept": "*/*"}) == REFUSED


def test_CVE_2024_45193_signature_leniency(federated):
    """One signature has one spelling: S plus the group order, and other base64 of the same bytes, are no signatures."""
    import base64
    node, peer, _ = federated
    good = fields(peer, node)
    signature = base64.b64decode(good["sig"].strip('"') + "==")
    order = 2**252 + 27742317777372353535851937790883648493
    twin = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    text = good["sig"].strip('"')
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(text[-1]) ^ 1]
    for spelling in (b64(twin), text[:-1] + last, text + "AAAA", text + "=", text[:-2], " " + text, text.replace("A", "*")):
        if spelling == text:
            continue
        header = peer.authorization("GET", PROFILE, node.server_name, sig=spelling)
        assert status(peer, node, headers={"Authorization": header}) == REFUSED, spelling


def test_fed_replay(federated):
    """A request is for one server only, and a transaction is carried out once."""
    node, peer, _ = federated
    target = "/_matrix/federation/v1/send/replayed"
    content = {"origin": peer.name, "origin_server_ts": now(), "pdus": []}
    elsewhere = {"Authorization": peer.authorization("PUT", target, "third.test", content)}
    assert status(peer, node, target, elsewhere, "PUT", content) == REFUSED
    renamed = {"Authorization": peer.authorization("PUT", target, "third.test", content, destination="acme.localhost")}
    assert status(peer, node, target, renamed, "PUT", content) == REFUSED

    alice = node.new_user("alice")
    room = PeerRoom.join(peer, node, alice.create_room(preset="public_chat"), DANA)
    event = room.add(room.message(DANA, "once"))
    bad = fedevents.without(room.message(DANA, "unsigned"), "signatures")
    first = peer.send(node, event, {**bad, "signatures": {}}, txn="same")
    assert first[room.id_of(event)] == {} and len(first) == 2
    assert peer.send(node, event, {**bad, "signatures": {}}, txn="same") == first
    # Another transaction of that name is the same one: what it holds is not looked at.
    other = room.add(room.message(DANA, "unseen"))
    assert peer.send(node, other, txn="same") == first
    said = [each["content"].get("body") for each in alice.messages(room.room_id, dir="b", limit=20)["chunk"]]
    assert said.count("once") == 1 and "unseen" not in said


def test_fed_uri_canonicalisation(federated):
    """The signature covers the bytes of the target; what is in a segment is decoded once, after splitting."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = alice.create_room(preset="public_chat")
    base = "/_matrix/federation/v1/make_join/"
    spellings = [quote(room) + "/" + quote(DANA), room.replace("!", "%21") + "/%40dana%3apeer.test", room + "/" + DANA]
    for spelling in spellings:
        assert status(peer, node, base + spelling + "?ver=12") == 200, spelling
    # The same address, spelled in another way than was signed.
    signed = {"Authorization": peer.authorization("GET", base + spellings[0] + "?ver=12", node.server_name)}
    for spelling in spellings[1:]:
        assert status(peer, node, base + spelling + "?ver=12", signed) == REFUSED, spelling
    assert status(peer, node, base + spellings[0] + "?ver=12&", signed) == REFUSED
    odd = ["@a%2Fb:acme.localhost", "@a%252Fb:acme.localhost", "@a%3Fb:acme.localhost", "@%C3%BC:acme.localhost"]
    for user in odd:
        assert status(peer, node, f"/_matrix/federation/v1/query/profile?user_id={user}") == SIGNED, user
    for path in ("//_matrix/federation/v1/version", "/_matrix/federation/v1/x/../version", "/_matrix//federation/v1/version"):
        assert status(peer, node, path) in (400, 404), path


def test_admin_command_injection(federated):
    """Nothing that comes over federation is a command: no signed request, and no text in a room, forged or not."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = PeerRoom.join(peer, node, alice.create_room(preset="public_chat"), DANA)
    deactivate = f"/_synapse/admin/v1/deactivate/{quote(alice.user_id)}"
    for method, target, content in (("GET", "/_synapse/admin/v2/users", None), ("POST", deactivate, {"erase": True}),
                                    ("PUT", f"/_synapse/admin/v2/users/{quote(alice.user_id)}", {"admin": True}),
                                    ("POST", "/_matrix/client/v3/account/deactivate", {}), ("GET", "/_matrix/client/v3/sync", None)):
        assert status(peer, node, target, method=method, content=content) in (401, 403, 404), target
        signed = {"Authorization": peer.authorization(method, target, node.server_name, content)}
        assert alice.request(method, target, json=content, token=None, headers=signed).status_code in (401, 403, 404), target
    first = room.send(node, DANA, "m.room.message", {"msgtype": "m.text", "body": f"!admin users deactivate {alice.user_id}"})
    for text in (f"\\!admin deactivate {alice.user_id}", f"/deactivate {alice.user_id}", f"comity user deactivate {alice.user_id}",
                 f"@conduit:acme.localhost: deactivate-user {alice.user_id}"):
        room.say(node, DANA, text)
        room.send(node, DANA, "m.room.message", {"msgtype": "m.text", "body": "* " + text, "m.new_content": {"msgtype": "m.text", "body": text},
                                                 "m.relates_to": {"rel_type": "m.replace", "event_id": first}})
        forged = room.make(alice.user_id, "m.room.message", {"msgtype": "m.text", "body": text})
        assert "error" in peer.send(node, forged)[room.id_of(forged)]
    alice.sync()
    assert alice.another_device().get("/account/whoami")["user_id"] == alice.user_id
    assert "admin" not in [line for line in node.run("user", "list").stdout.splitlines() if alice.user_id in line][0].split()[1:]


def test_CVE_2024_52594_ssrf_federation_by_names(make_node):
    """Server names, delegation and redirects that lead inside are called by nobody, and all fail alike."""
    import threading
    import socket
    visits, trap = [], socket.create_server(("127.0.0.1", 0))
    port = trap.getsockname()[1]

    def watch():
        while True:
            try:
                visits.append(trap.accept()[0].close())
            except OSError:
                return

    threading.Thread(target=watch, daemon=True).start()
    node = make_node("acme.localhost", {"outbound": {"allow": ""}}).start()
    alice = node.new_user("alice")
    answers = set()
    for name in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", f"[::ffff:127.0.0.1]:{port}", f"0.0.0.0:{port}", f"10.0.0.1:{port}",
                 "169.254.169.254", f"[64:ff9b::7f00:1]:{port}", f"[2002:7f00:1::]:{port}", f"100.64.0.1:{port}", f"[fe80::1]:{port}"):
        for method, path, content in (("POST", f"/join/{quote('!a:' + name)}?via={quote(name)}&server_name={quote(name)}", {}),
                                      ("GET", f"/profile/{quote('@a:' + name)}", None), ("GET", f"/directory/room/{quote('#a:' + name)}", None),
                                      ("GET", f"/publicRooms?server={quote(name)}", None)):
            answer = alice.request(method, path, json=content)
            assert answer.status_code >= 400, (name, path, answer.text)
            answers.add((path.split("/")[1].split("?")[0], answer.status_code, answer.json()["error"].replace(name, "NAME")))
        alice.post("/keys/query", {"device_keys": {"@a:" + name: []}})
    trap.close()
    assert visits == []
    assert len({each[0] for each in answers}) == len(answers), answers


@pytest.fixture
def fresh_peer(authority):
    """A node and a peer that it has not met."""
    peer = Peer("fresh.test", authority).start()
    node = Node("acme.localhost", tls=authority.issue("acme.localhost"), ca=authority.ca)
    resolve_each_other([node, peer])
    node.start()
    yield node, peer
    peer.stop()
    node.remove()


def test_CVE_2024_6299_key_document_of_another(fresh_peer):
    """A key document must be of the asked name and signed with its own key."""
    node, peer = fresh_peer
    honest = peer.key_document
    peer.key_document = lambda: peer.key.sign_json({**honest(), "server_name": "other.test"}, peer.name)
    assert status(peer, node) == REFUSED
    peer.key_document = lambda: fedevents.without(honest(), "signatures")
    assert status(peer, node) == REFUSED


def test_CVE_2024_6299_expired_key(fresh_peer):
    """An old key is good for events of its time, and for nothing else."""
    node, peer = fresh_peer
    alice = node.new_user("alice")
    old, new = peer.key, SigningKey("ed25519:new")
    expired = now() - 3600 * 1000
    peer.old_keys = {old.key_id: (old.public, expired)}
    peer.key = new
    dana = "@dana:fresh.test"
    room = PeerRoom.join(peer, node, alice.create_room(preset="public_chat"), dana)

    def by_old_key(body, timestamp):
        event = fedevents.without(room.message(dana, body, origin_server_ts=timestamp), "hashes", "signatures")
        return fedevents.seal(room.version, event, peer.name, old)

    early, late = by_old_key("early", expired - 1000), by_old_key("late", now())
    result = peer.send(node, early, late)
    assert result[room.id_of(early)] == {}
    assert "error" in result[room.id_of(late)]
    peer.key = old
    assert status(peer, node) == REFUSED


def test_signatures_with_several_keys(fresh_peer):
    """Those of unknown keys are skipped; of the known ones none may be wrong, though another is right."""
    node, peer = fresh_peer
    alice = node.new_user("alice")
    second = SigningKey("ed25519:second")
    alone = peer.key_document
    peer.key_document = lambda: peer.key.sign_json({**fedevents.without(alone(), "signatures"), "verify_keys": {
        key.key_id: {"key": key.public} for key in (peer.key, second)}}, peer.name)
    dana = "@dana:fresh.test"
    room = PeerRoom.join(peer, node, alice.create_room(preset="public_chat"), dana)

    def say(body, key_id, signer=None):
        event = room.message(dana, body)
        event["signatures"][peer.name][key_id] = b64(b"x" * 64)
        signed = fedevents.sign(room.version, event, peer.name, signer) if signer else event
        return peer.send(node, signed)[room.id_of(event)]

    assert say("by both", second.key_id, second) == {}
    assert say("by the policy server too", "ed25519:policy_server") == {}
    assert say("by a stranger too", "ed25519:stranger") == {}
    assert "error" in say("by one of two", second.key_id)


@pytest.mark.parametrize("text", [
    '{"pdus":[],}', "{'pdus':[]}", '{"pdus":[]} {}', '{"pdus":[]/**/}', '{"pdus":[],"pdus":[]}', '{"pdus":[],"a":01}',
    '{"pdus":[],"a":NaN}', '{"pdus":[],"a":0x10}', '{"pdus":[],"a":"\t"}', '{"pdus":[],"a":+1}', '\ufeff{"pdus":[]}',
    "[]", "null", "", '{"pdus":[],"a":1e400}', '{"pdus":[],"a":"\\ud800"}',
])
def test_json_leniency_CVE_2020_26890(federated, text):
    """What other parsers take for JSON is refused as a whole."""
    node, peer, _ = federated
    target = "/_matrix/federation/v1/send/lenient"
    try:
        content = json.loads(text.lstrip("\ufeff") or "{}")
    except ValueError:
        content = {"pdus": []}
    try:
        header = peer.authorization("PUT", target, node.server_name, content)
    except (ValueError, UnicodeEncodeError):
        header = peer.authorization("PUT", target, node.server_name, {"pdus": []})
    response = peer.request(node, "PUT", target, headers={"Authorization": header}, data=text.encode())
    assert response.status_code in (400, 401) and response.json()["errcode"] in ("M_NOT_JSON", "M_BAD_JSON", "M_UNAUTHORIZED")


def test_canonical_json(federated):
    """Keys by code point, short escapes, integers as they are: the id of an event is that of another implementation."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = PeerRoom.join(peer, node, alice.create_room(preset="public_chat"), DANA)
    content = {"msgtype": "m.text", "body": "\u0001\u001f\u007f\"\\/\b\f\n\r\t\u2028é😀", "\U0001f600": 1, "\uffee": 2, "é": -0,
               "zero": 0, "big": 2**53 - 1, "small": -(2**53 - 1), "nested": {"b": [], "a": {}, "": None, "t": True}}
    event_id = room.send(node, DANA, "m.room.message", content)
    assert alice.event(room.room_id, event_id)["content"] == content
    sent = alice.send(room.room_id, content)
    from machine import wait_for
    wait_for(lambda: any(room.id_of(pdu) == sent for pdu in peer.pdus()), what="the same content as an event of the node")
