"""What another server can make this one keep: it has an end, in memory and in the database."""

import pytest

from fedpeer import PeerRoom

pytestmark = pytest.mark.peers

DANA, EVE = "@dana:peer.test", "@eve:peer.test"


def shared(federated, version="11"):
    """(user of the node, room as the peer sees it)"""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room_id = alice.create_room(preset="public_chat", room_version=version)
    return alice, PeerRoom.join(peer, node, room_id, DANA)


def presence_edu(*people):
    return {"edu_type": "m.presence", "content": {"push": [
        {"user_id": user, "presence": state, "status_msg": status} for user, state, status in people]}}


def test_class_presence_memory_of_status_messages(federated):
    """A message longer than a user of this server could set is not kept; that its owner is there is told all the same."""
    node, peer, _ = federated
    alice, room = shared(federated)
    since = alice.sync()["next_batch"]
    peer.send(node, edus=[presence_edu((DANA, "unavailable", "x" * 1024))])
    assert alice.get(f"/presence/{DANA}/status")["status_msg"] == "x" * 1024
    peer.send(node, edus=[presence_edu((DANA, "online", "x" * 1025))])
    shown = alice.get(f"/presence/{DANA}/status")
    assert shown["presence"] == "online" and "status_msg" not in shown
    peer.send(node, edus=[presence_edu((DANA, "unavailable", "x" * 5_000_000))])
    found, _ = alice.sync_until(lambda answer: [event["content"] for event in answer["presence"]["events"]
                                                if event["sender"] == DANA], since)
    assert found[-1]["presence"] == "unavailable" and "status_msg" not in found[-1]
    peer.send(node, edus=[presence_edu((DANA, "online", ["no text"] * 3))])
    assert "status_msg" not in alice.get(f"/presence/{DANA}/status")


def test_class_presence_memory_of_strangers(federated):
    """Of users who share no room with anybody here nothing is kept, though their names are known."""
    node, peer, _ = federated
    alice, room = shared(federated)
    for membership in ("join", "leave"):
        room.send(node, EVE, "m.room.member", {"membership": membership}, EVE)
    peer.send(node, edus=[presence_edu((EVE, "online", "too late"), (DANA, "online", "in time"))])
    assert alice.get(f"/presence/{DANA}/status")["status_msg"] == "in time"
    room.send(node, EVE, "m.room.member", {"membership": "join"}, EVE)
    assert alice.get(f"/presence/{EVE}/status")["presence"] == "offline"
    peer.send(node, edus=[presence_edu((EVE, "online", "in time"))])
    assert alice.get(f"/presence/{EVE}/status")["status_msg"] == "in time"
