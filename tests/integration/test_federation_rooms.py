"""Rooms that live on two nodes."""

import time

import pytest

pytestmark = pytest.mark.peers


def bodies(user, room):
    """What the messages that a user sees in a room say, newest first."""
    page = user.get(f"/rooms/{room}/messages", params={"dir": "b", "limit": 100})
    return [event["content"].get("body") for event in page["chunk"] if event["type"] == "m.room.message"]


def wait_for(found, seconds=15):
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def membership(user, room, of):
    return user.get(f"/rooms/{room}/state/m.room.member/{of.user_id}")["membership"]


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_join_and_messages_both_ways(two_nodes, version):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    room = alice.create_room(preset="public_chat", room_version=version)
    bob.post(f"/join/{room}", {}, params={"server_name": "acme.localhost"})
    assert membership(bob, room, alice) == "join"
    alice.send(room, "from acme")
    wait_for(lambda: "from acme" in bodies(bob, room))
    bob.send(room, "from globex")
    wait_for(lambda: "from globex" in bodies(alice, room))


@pytest.mark.parametrize("version", ["11", "12"])
def test_invite_both_ways(two_nodes, version):
    acme, globex = two_nodes
    for here, there in ((acme, globex), (globex, acme)):
        alice, bob = here.new_user("alice"), there.new_user("bob")
        room = alice.create_room(preset="private_chat", room_version=version)
        alice.post(f"/rooms/{room}/invite", {"user_id": bob.user_id})
        assert membership(alice, room, bob) == "invite"
        bob.post(f"/join/{room}", {})
        assert membership(alice, room, bob) == "join"
        bob.send(room, "thank you")
        wait_for(lambda: "thank you" in bodies(alice, room))
