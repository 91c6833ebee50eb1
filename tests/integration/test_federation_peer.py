"""A server that does as it should, in its own implementation."""

import pytest

from fedpeer import PeerRoom
from machine import wait_for

pytestmark = pytest.mark.peers

DANA = "@dana:peer.test"


def bodies(user, room):
    return [event["content"].get("body") for event in user.messages(room, dir="b", limit=100)["chunk"]
            if event["type"] == "m.room.message"]


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_peer_joins_and_talks(federated, version):
    node, peer, _ = federated
    alice = node.new_user("alice")
    room_id = alice.create_room(preset="public_chat", room_version=version)
    room = PeerRoom.join(peer, node, room_id, DANA)
    room.say(node, DANA, "from the peer")
    assert "from the peer" in bodies(alice, room_id)
    event_id = alice.send(room_id, "to the peer")
    wait_for(lambda: any(room.id_of(pdu) == event_id for pdu in peer.pdus()), what="the message")


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_node_joins_the_peers_room(federated, version):
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = PeerRoom.create(peer, DANA, version)
    peer.host(room)
    alice.join(room.room_id, via=["peer.test"])
    room.say(node, DANA, "welcome")
    assert bodies(alice, room.room_id) == ["welcome"]
