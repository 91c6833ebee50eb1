"""Servers that build on old events again and again, and what ties the branches together."""

import pytest

from fedpeer import Peer, PeerRoom, introduce, quote
from machine import wait_for
from node import resolve_each_other

pytestmark = pytest.mark.peers

DANA, THEO = "@dana:peer.test", "@theo:third.test"
DUMMY = "org.matrix.dummy_event"
DUMMIES = f"event WHERE type = (SELECT id FROM sym WHERE text = '{DUMMY}')"


def shared(federated, **more):
    node, peer, _ = federated
    alice = node.new_user("alice")
    return alice, PeerRoom.join(peer, node, alice.create_room(preset="public_chat", room_version="11", **more), DANA)


def flood(room, count):
    """New names of a user who is in the room, all on the same event."""
    auth = room.auth_for(DANA, "m.room.member", {"membership": "join"}, DANA)
    return [room.make(DANA, "m.room.member", {"membership": "join", "displayname": f"name {number}"}, DANA, auth_events=auth)
            for number in range(count)]


def branches(node, room):
    return int(node.sql("SELECT array_length (extremities, 1) FROM room JOIN sym s ON s.id = room.id "
                        f"WHERE s.text = '{room.room_id}'"))


def everything(user, room_id):
    return user.messages(room_id, dir="b", limit=1000)["chunk"]


def test_fed_dos_extremities(federated):
    """However many branches a server makes, few are left; what ties them together is for servers that ask, not for people."""
    node, peer, third = federated
    alice, room = shared(federated)
    other = PeerRoom.join(third, node, room.room_id, THEO)
    since = alice.sync()["next_batch"]
    third.requests.clear()
    events = flood(room, 200)
    for start in range(0, len(events), 50):
        assert set(map(str, peer.send(node, *events[start:start + 50]).values())) == {"{}"}
        assert branches(node, room) <= 10
    assert alice.state(room.room_id, "m.room.member", DANA)["displayname"] in {f"name {number}" for number in range(200)}
    told = alice.send(room.room_id, "hello")
    assert branches(node, room) == 1

    # People see what was said, and nothing else.
    seen = everything(alice, room.room_id)
    assert sum(event["sender"] == DANA for event in seen) == 201
    assert DUMMY not in {event["type"] for event in seen}
    answer = alice.sync(since, filter={"room": {"timeline": {"limit": 1000}}})["rooms"]["join"][room.room_id]
    assert DUMMY not in str(answer) and answer["timeline"]["events"][-1]["event_id"] == told
    dummies = node.sql(f"SELECT event_id FROM {DUMMIES} AND room = (SELECT id FROM sym WHERE text = '{room.room_id}')").split()
    assert 20 <= len(dummies) <= 25
    alice.event(room.room_id, dummies[-1], expect=404)
    alice.get(f"/rooms/{quote(room.room_id)}/context/{quote(dummies[-1])}", expect=404)

    # Others are told of the message alone, and may ask for what it stands on.
    wait_for(lambda: any(pdu["type"] == "m.room.message" for pdu in third.pdus()), what="the message")
    assert DUMMY not in {pdu["type"] for pdu in third.pdus()}
    message = next(pdu for pdu in third.pdus() if pdu["type"] == "m.room.message")
    below = [third.get(node, f"/_matrix/federation/v1/event/{quote(each)}")["pdus"][0] for each in message["prev_events"]]
    assert DUMMY in {event["type"] for event in below}
    assert {event["sender"] for event in below if event["type"] == DUMMY} == {alice.user_id}
    missing = third.post(node, f"/_matrix/federation/v1/get_missing_events/{quote(room.room_id)}",
                         {"earliest_events": other.latest, "latest_events": [told], "limit": 50, "min_depth": 0})["events"]
    assert DUMMY in {event["type"] for event in missing}


def test_fed_dos_extremities_where_nobody_may_join_them(federated):
    """Where the people here may say nothing, a server has so many branches and no more; others go on."""
    node, peer, third = federated
    alice, room = shared(federated, power_level_content_override={"events_default": 50})
    bob = node.new_user("bob")
    bob.join(room.room_id)
    other = PeerRoom.join(third, node, room.room_id, THEO)
    alice.leave(room.room_id)
    room.latest = other.latest = [node.sql("SELECT event_id FROM event ORDER BY id DESC LIMIT 1").strip()]
    room.depth = other.depth = other.depth + 1
    events = flood(room, 50)
    peer.send(node, *events)
    assert branches(node, room) == 10
    other.state.update(room.state)
    other.send(node, THEO, "m.room.member", {"membership": "join", "displayname": "Theo"}, THEO)
    assert bob.state(room.room_id, "m.room.member", THEO)["displayname"] == "Theo"
    assert branches(node, room) == 11
    bob.put(f"/profile/{quote(bob.user_id)}/displayname", {"displayname": "Bob"})
    wait_for(lambda: branches(node, room) == 1, what="his new name to stand on all of them")


def test_events_that_tie_branches_together(federated):
    """What other servers tie branches together with is in the graph, and people neither see nor count it."""
    node, peer, _ = federated
    alice, room = shared(federated)
    since = alice.sync()["next_batch"]
    dummy = room.send(node, DANA, DUMMY, {})
    first = room.say(node, DANA, "on top of it")
    assert room.all[first]["prev_events"] == [dummy]
    answer = alice.sync(since)["rooms"]["join"][room.room_id]
    assert [event["event_id"] for event in answer["timeline"]["events"]] == [first]
    assert answer["unread_notifications"]["notification_count"] == 1
    assert DUMMY not in {event["type"] for event in everything(alice, room.room_id)}
    alice.event(room.room_id, dummy, expect=404)
    alice.send(room.room_id, "goes on")


def test_history_before_a_tie(federated):
    """History goes on behind an event that nobody sees."""
    node, peer, _ = federated
    alice, room = shared(federated)
    state = [room.id_of(event) for event in room.state.values()]
    early = room.add(room.message(DANA, "early"))
    tie = room.add(room.make(DANA, DUMMY, {}))
    last = room.add(room.message(DANA, "last"))
    peer.on("POST", "/get_missing_events/", lambda *_: {"events": [tie]})
    peer.on("GET", "/state_ids/", lambda *_: {"pdu_ids": state, "auth_chain_ids": []})
    peer.on("GET", "/backfill/", lambda match, content, query: {
        "pdus": [early] if query["v"] == [room.id_of(early)] else []})
    peer.send(node, last)
    wait_for(lambda: "last" in str(everything(alice, room.room_id)), what="the last message")
    assert "early" in str(everything(alice, room.room_id))
    peer.handlers.clear()


def test_branches_tied_together_reach_the_other_node(authority, make_node):
    """A node that a server kept its branches from gets what another node's user said on top of them all, and the answer comes back."""
    peer = Peer("peer.test", authority).start()
    nodes = [make_node(name, tls=authority.issue(name), ca=authority.ca) for name in ("acme.localhost", "globex.localhost")]
    resolve_each_other([*nodes, peer])
    for node in nodes:
        node.start()
        introduce(node, peer)
    acme, globex = nodes
    alice, gita = acme.new_user("alice"), globex.new_user("gita")
    room = PeerRoom.join(peer, acme, alice.create_room(preset="public_chat", room_version="11"), DANA)
    gita.join(room.room_id, via=["acme.localhost"])
    events = flood(room, 60)
    peer.send(acme, *events[:30])
    peer.send(acme, *events[30:])
    said = {alice: "on top of them all", gita: "on top of both"}
    for user, other in ((alice, gita), (gita, alice)):
        user.send(room.room_id, said[user])
        wait_for(lambda: said[user] in str(everything(other, room.room_id)), 30, what="the message")
        assert DUMMY not in str(everything(other, room.room_id))
    # Each of the nodes had tied them together.
    assert int(acme.sql(f"SELECT count (DISTINCT sender) FROM {DUMMIES} AND position IS NULL")) == 2
    assert branches(acme, room) == branches(globex, room) == 1
    names = [user.state(room.room_id, "m.room.member", DANA)["displayname"] for user in (alice, gita)]
    assert names[0] == names[1]
    peer.stop()
