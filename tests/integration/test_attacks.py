"""Holes that an attacker with an account found, or without one. Each stays shut."""

import contextlib
import json
import os
import pathlib
import re
import socket
import threading
import time

from client import quote
from fedpeer import PeerRoom
from machine import wait_for
import pytest


def guest_of(node):
    guest = node.client()
    answer = guest.post("/register?kind=guest", {}, token=None)
    guest.token, guest.user_id = answer["access_token"], answer["user_id"]
    return guest


def restricted_room(user, join_rule="restricted", version="11"):
    club = user.create_room(name="club")
    return club, user.create_room(room_version=version, initial_state=[
        {"type": "m.room.join_rules", "state_key": "",
         "content": {"join_rule": join_rule, "allow": [{"type": "m.room_membership", "room_id": club}]}}])


@pytest.mark.parametrize("join_rule", ["restricted", "knock_restricted"])
def test_class_restricted_join_by_state_event(user, other, join_rule):
    """Who may vouch for a join is the server's to say, not that of who joins."""
    club, room = restricted_room(user, join_rule)
    forged = {"membership": "join", "join_authorised_via_users_server": user.user_id}
    other.set_state(room, "m.room.member", forged, other.user_id, expect=(403, "M_FORBIDDEN"))
    other.get(f"/rooms/{quote(room)}/messages?dir=b", expect=(403, "M_FORBIDDEN"))
    user.invite(club, other)
    other.join(club)
    other.set_state(room, "m.room.member", {**forged, "join_authorised_via_users_server": "@nobody:localhost", "org.example": 1},
                    other.user_id)
    content = user.state(room, "m.room.member", other.user_id)
    assert content == {"membership": "join", "join_authorised_via_users_server": user.user_id, "org.example": 1}


def test_class_guest_join_by_state_event(node, user):
    room = user.create_room(preset="public_chat")
    guest = guest_of(node)
    guest.post(f"/join/{quote(room)}", {}, expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
    guest.set_state(room, "m.room.member", {"membership": "join"}, guest.user_id, expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
    user.set_state(room, "m.room.guest_access", {"guest_access": "can_join"})
    guest.set_state(room, "m.room.member", {"membership": "join", "displayname": "G"}, guest.user_id)
    assert user.state(room, "m.room.member", guest.user_id) == {"membership": "join", "displayname": "G"}


def hidden_room(user, visibility="joined"):
    return user.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": visibility}}])


def test_class_search_oracle(user, other):
    """Neither the count nor the pages of a search tell of words that were said before one came."""
    room = hidden_room(user)
    for word in ("xylophone", "xylophone again"):
        user.send(room, {"msgtype": "m.text", "body": word})
    other.join(room)
    user.send(room, {"msgtype": "m.text", "body": "xylophone for all"})

    def search(who, term, **query):
        body = {"search_categories": {"room_events": {"search_term": term, "order_by": "recent", "filter": {"limit": 1}}}}
        return who.post("/search", body, params=query)["search_categories"]["room_events"]

    def bodies(found):
        return [result["result"]["content"]["body"] for result in found["results"]]

    assert search(other, "again") == {"count": 0, "highlights": ["again"], "results": []}
    found = search(other, "xylophone")
    assert (found["count"], bodies(found), found.get("next_batch")) == (1, ["xylophone for all"], None)
    found = search(user, "xylophone")
    assert (found["count"], bodies(found)) == (3, ["xylophone for all"])
    found = search(user, "xylophone", next_batch=found["next_batch"])
    assert (found["count"], bodies(found)) == (3, ["xylophone again"])
    found = search(user, "xylophone", next_batch=found["next_batch"])
    assert (bodies(found), found.get("next_batch")) == (["xylophone"], None)


def test_cve_2021_39164_members_of_hidden_times(user, other, node):
    """Who was in a room before one came is history, and as visible as history is."""
    room = hidden_room(user)
    secret = node.new_user("secret")
    secret.join(room)
    then = user.messages(room, dir="b", limit=1)["start"]
    secret.leave(room)
    other.join(room)

    def joined(who):
        events = who.get(f"/rooms/{quote(room)}/members", params={"at": then, "membership": "join"})["chunk"]
        return {event["state_key"] for event in events}

    assert joined(user) == {user.user_id, secret.user_id}
    assert secret.user_id not in joined(other)


@pytest.fixture(scope="module")
def silent():
    """A port at which every loopback address takes connections, and nobody ever says a word."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen(1024)
        yield listener.getsockname()[1]


def silent_servers(silent, count, first=2):
    return [f"127.0.{n // 250}.{n % 250 + 1}:{silent}" for n in range(first, first + count)]


def in_background(work, items):
    """Each in a thread of its own; what comes of it is nobody's concern."""
    def run(item):
        with contextlib.suppress(Exception):
            work(item)

    for item in items:
        threading.Thread(target=run, args=(item,), daemon=True).start()
    time.sleep(1)


def seconds_of(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["signed", "notary", "two headers", "two headers and a large body"])
def test_class_fed_key_starvation(federated, silent, kind):
    """Who makes the node look for keys that are not to be had keeps nobody waiting whose key is known."""
    node, peer, _ = federated
    target = "/_matrix/federation/v1/query/profile?user_id=%40nobody%3Aacme.localhost"
    assert peer.request(node, "GET", target).status_code == 404
    first = {"signed": 2, "notary": 40, "two headers": 250, "two headers and a large body": 280}[kind]
    large = b'{"pdus":[],"edus":[],"x":"%s"}' % (b"x" * 600000)
    send = "/_matrix/federation/v1/send/large"

    def ask(server):
        header = peer.authorization("GET", target, node.server_name).replace("peer.test", server)
        known = peer.authorization("GET", target, node.server_name, sig="A" * 86)
        if kind == "notary":
            node.request("GET", f"/_matrix/key/v2/query/{quote(server)}")
        elif kind == "signed":
            peer.request(node, "GET", target, headers={"Authorization": header})
        elif kind == "two headers":
            peer.request(node, "GET", target, headers={"Authorization": [header, known]})
        else:
            peer.request(node, "PUT", send, headers={"Authorization": [header, known]}, data=large)

    def be_served():
        if "large" not in kind:
            assert peer.request(node, "GET", target).status_code == 404
            return
        headers = {"Authorization": peer.authorization("PUT", send, node.server_name, json.loads(large))}
        assert peer.request(node, "PUT", send, headers=headers, data=large).status_code == 200

    in_background(ask, silent_servers(silent, 30, first))
    assert seconds_of(be_served) < 8


@pytest.mark.peers
def test_class_remote_starvation(federated, silent):
    """Who has the node ask servers that do not answer keeps nobody else from signing in, and from asking others."""
    node, peer, _ = federated
    mallory, alice = node.new_user("mallory"), node.new_user("alice")
    peer.on("GET", "/query/profile$", lambda match, content, query: {"displayname": "Dana"})
    in_background(lambda server: mallory.request("GET", f"/profile/{quote('@x:' + server)}"), silent_servers(silent, 12, 80))
    assert seconds_of(lambda: node.client().login(alice.user_id, alice.password)) < 8
    assert seconds_of(lambda: alice.get("/profile/" + quote("@dana:peer.test"))) < 8


@pytest.mark.peers
@pytest.mark.slow
def test_class_parking_starvation(federated):
    """A server that takes its time over what its events lack holds up those of no other, not for long even in its own rooms."""
    node, peer, evil = federated
    alice, dana, theo = node.new_user("alice"), "@dana:peer.test", "@theo:third.test"
    over = threading.Event()

    def shared_room():
        return alice.create_room(preset="public_chat", room_version="11")

    def slowly(answer):
        return lambda *_: (over.wait(6), answer)[1]

    def arrives_after_gap(room):
        missed, last = room.add(room.message(dana, "missed")), room.add(room.message(dana, "last"))
        peer.on("POST", f"/get_missing_events/{quote(room.room_id)}", lambda *_: {"events": [missed]})
        assert peer.send(node, last) == {room.id_of(last): {}}
        wait_for(lambda: "'body': 'last'" in str(alice.messages(room.room_id, dir="b")), 45, what="the last message")

    evil.on("POST", "/get_missing_events/", slowly({"events": []}))
    evil.on("GET", "/state_ids/", slowly({"pdu_ids": [], "auth_chain_ids": []}))
    rooms = [PeerRoom.join(evil, node, shared_room(), theo) for _ in range(4)]
    both = PeerRoom.join(peer, node, rooms[0].room_id, dana)
    good = PeerRoom.join(peer, node, shared_room(), dana)
    try:
        for room in rooms:
            evil.send(node, *[room.message(theo, f"bait {n}", prev_events=[f"${n:043d}"]) for n in range(10)])
        wait_for(lambda: evil.asked("/get_missing_events/"), what="a question")
        assert seconds_of(lambda: arrives_after_gap(good)) < 20
        arrives_after_gap(both)
        assert len(evil.asked("/get_missing_events/")) < 6
    finally:
        over.set()
        for each in (peer, evil):
            each.handlers.clear()


def answers_keys(peer):
    peer.on("POST", "/user/keys/query$", lambda match, content, query: {"device_keys": {user: {} for user in content["device_keys"]}})


def asks_for_keys(user, other):
    """Answered soon, and not with a failure."""
    answer = []
    assert seconds_of(lambda: answer.append(user.post("/keys/query", {"device_keys": {other: []}, "timeout": 20000}))) < 15
    assert not answer[0]["failures"]


@pytest.mark.peers
def test_class_keys_starvation_by_a_user(federated, silent):
    """Whoever asks for keys of servers that do not answer keeps nobody waiting for those of others."""
    node, peer, _ = federated
    mallory, alice = node.new_user("mallory"), node.new_user("alice")
    answers_keys(peer)
    body = {"device_keys": {f"@x:{server}": [] for server in silent_servers(silent, 60, 310)}, "timeout": 20000}
    in_background(lambda _: mallory.post("/keys/query", body), [0])
    asks_for_keys(alice, "@erna:peer.test")


@pytest.mark.peers
def test_class_keys_starvation_by_a_server(federated):
    """News of many users' devices, which its server then takes its time to tell of."""
    node, peer, evil = federated
    alice, theo, over = node.new_user("alice"), "@theo:third.test", threading.Event()
    users = [f"@u{n}:third.test" for n in range(45)]
    room = PeerRoom.join(evil, node, alice.create_room(preset="public_chat", room_version="11"), theo)
    evil.send(node, *[room.add(room.make(user, "m.room.member", {"membership": "join"}, user)) for user in users])
    evil.on("GET", "/user/devices/", lambda *_: (over.wait(25), (404, {}))[1])
    answers_keys(peer)
    try:
        evil.send(node, edus=[{"edu_type": "m.device_list_update", "content": {
            "user_id": user, "device_id": "D", "stream_id": 9, "prev_id": [7]}} for user in users])
        wait_for(lambda: len(evil.asked("/user/devices/")) > 3, 60, what="questions")
        asks_for_keys(alice, "@erna:peer.test")
    finally:
        over.set()
        evil.handlers.clear()


@pytest.mark.peers
@pytest.mark.slow
def test_class_hierarchy_starvation(federated, silent):
    """One request has the node ask others for a while, not for hours."""
    node, _, _ = federated
    mallory = node.new_user("mallory")
    servers = silent_servers(silent, 90, 120)
    space = mallory.create_room(creation_content={"type": "m.space"}, initial_state=[
        {"type": "m.space.child", "state_key": f"!room{i}:nowhere.test", "content": {"via": servers[3 * i:3 * i + 3]}} for i in range(30)])
    assert seconds_of(lambda: mallory.get(f"/_matrix/client/v1/rooms/{quote(space)}/hierarchy", timeout=900)) < 60


@pytest.mark.peers
@pytest.mark.slow
def test_class_signature_starvation(federated, silent):
    node, _, _ = federated
    mallory = node.new_user("mallory")
    body = {f"@x:{server}": {"key": {}} for server in silent_servers(silent, 30, 215)}
    assert seconds_of(lambda: mallory.post("/keys/signatures/upload", body)) < 20


def test_class_alias_starvation(user, other):
    """Other servers are asked about a few aliases at a time, for who may name them at all."""
    room = user.create_room(preset="public_chat")
    other.join(room)
    aliases = {"alt_aliases": [f"#a{i}:server{i}.invalid" for i in range(21)]}
    user.set_state(room, "m.room.canonical_alias", aliases, expect=(400, "M_INVALID_PARAM"))
    other.set_state(room, "m.room.canonical_alias", aliases, expect=(403, "M_FORBIDDEN"))


def test_class_rate_limit_bypass_of_invites(make_node):
    """An invite counts as one, sent as such, as state or with a new room."""
    node = make_node("acme.localhost", {"limits": {"enabled": True, "invite": "0.01;3"}}, fresh=True).start()
    mallory, alice = node.new_user("mallory"), node.new_user("alice")
    room = mallory.create_room(invite=[alice.user_id])
    mallory.set_state(room, "m.room.member", {"membership": "invite"}, "@b:acme.localhost")
    mallory.invite(room, "@c:acme.localhost")
    limited = (429, "M_LIMIT_EXCEEDED")
    mallory.set_state(room, "m.room.member", {"membership": "invite"}, "@d:acme.localhost", expect=limited)
    mallory.post(f"/rooms/{quote(room)}/invite", {"user_id": "@e:acme.localhost"}, expect=limited)
    mallory.post("/createRoom", {"invite": [alice.user_id]}, expect=limited)
    mallory.create_room()


def peak_of(node):
    """The most memory that the node ever took, in MiB."""
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024


@pytest.mark.peers
def test_class_fed_body_memory(federated):
    """Large bodies under signatures that are none are read one at a time, and not at all of who has no key."""
    node, peer, _ = federated
    target = "/_matrix/federation/v1/send/large"
    peer.get(node, "/_matrix/federation/v1/query/profile?user_id=%40nobody%3Aacme.localhost", expect=404)
    before = peak_of(node)
    body = b'{"pdus":[' + b"0," * 4_700_000 + b"0]}"
    headers = {"Authorization": peer.authorization("PUT", target, node.server_name, {"pdus": []})}

    def send(_):
        assert peer.request(node, "PUT", target, headers=headers, data=body).status_code == 401

    threads = [threading.Thread(target=send, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Shadow memory and what is kept of freed memory come on top.
    assert peak_of(node) - before < (1350 if "COMITY_SANITIZED" in os.environ else 450)
