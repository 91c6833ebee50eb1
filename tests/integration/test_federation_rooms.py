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


def test_history_from_before_the_join(two_nodes):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    room = alice.create_room(preset="public_chat")
    for number in range(30):
        alice.send(room, f"message {number}")
    alice.set_state(room, "m.room.topic", {"topic": "in between"})
    alice.send(room, "the last")
    bob.join(room, via=["acme.localhost"])
    said = bodies(bob, room)
    assert said == ["the last"] + [f"message {number}" for number in reversed(range(30))]


def test_invite_refused_and_taken_back(two_nodes):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    room = alice.create_room(preset="private_chat")
    alice.invite(room, bob)
    _, since = bob.sync_until(lambda answer: room in answer["rooms"].get("invite", {}))
    bob.leave(room)
    wait_for(lambda: membership(alice, room, bob) == "leave")
    alice.invite(room, bob)
    _, since = bob.sync_until(lambda answer: room in answer["rooms"].get("invite", {}), since)
    alice.post(f"/rooms/{room}/kick", {"user_id": bob.user_id})
    bob.sync_until(lambda answer: room in answer["rooms"].get("leave", {}), since)


@pytest.mark.parametrize("version", ["11", "12"])
def test_knock(two_nodes, version):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    room = alice.create_room(preset="private_chat", room_version=version,
                             initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    bob.post(f"/knock/{room}", {}, params={"server_name": "acme.localhost", "via": "acme.localhost"})
    wait_for(lambda: membership(alice, room, bob) == "knock")
    alice.invite(room, bob)
    bob.sync_until(lambda answer: room in answer["rooms"].get("invite", {}))
    bob.join(room, via=["acme.localhost"])
    assert membership(alice, room, bob) == "join"


def test_restricted_join(two_nodes):
    acme, globex = two_nodes
    alice, bob, carol = acme.new_user("alice"), globex.new_user("bob"), globex.new_user("carol")
    club = alice.create_room(preset="public_chat")
    room = alice.create_room(preset="private_chat", initial_state=[
        {"type": "m.room.join_rules",
         "content": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}}])
    bob.join(club, via=["acme.localhost"])
    bob.join(room, via=["acme.localhost"])
    assert membership(alice, room, bob) == "join"
    carol.post(f"/join/{room}", {}, params={"server_name": "acme.localhost"}, expect=(403, "M_FORBIDDEN"))


def test_second_user_of_a_server_joins(two_nodes):
    acme, globex = two_nodes
    alice, bob, carol = acme.new_user("alice"), globex.new_user("bob"), globex.new_user("carol")
    room = alice.create_room(preset="public_chat")
    bob.join(room, via=["acme.localhost"])
    carol.join(room)
    carol.send(room, "hello")
    wait_for(lambda: "hello" in bodies(alice, room))
    bob.leave(room)
    carol.leave(room)
    wait_for(lambda: membership(alice, room, carol) == "leave")
    bob.join(room, via=["acme.localhost"])
    alice.send(room, "welcome back")
    wait_for(lambda: "welcome back" in bodies(bob, room))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_catches_up_after_an_outage(own_two_nodes, how):
    acme, globex = own_two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    room = alice.create_room(preset="public_chat")
    bob.join(room, via=["acme.localhost"])
    getattr(globex, how)()
    for number in range(70):
        alice.send(room, f"missed {number}")
    globex.start()
    alice.send(room, "after")
    wait_for(lambda: "after" in bodies(bob, room), 60)
    wait_for(lambda: set(bodies(bob, room)) >= {f"missed {number}" for number in range(70)})
    bob.send(room, "thanks")
    wait_for(lambda: "thanks" in bodies(alice, room))


def test_newcomers_learn_who_is_there(two_nodes):
    """Two who have only just met know at once that the other is online, though neither has done anything since."""
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    for person in (alice, bob):
        person.sync()
    room = alice.create_room(preset="private_chat", invite=[bob.user_id])
    wait_for(lambda: room in bob.get("/sync", params={"set_presence": "offline"})["rooms"].get("invite", {}))
    bob.put(f"/presence/{bob.user_id}/status", {"presence": "online"})
    bob.join(room, via=["acme.localhost"])
    for person, of in ((alice, bob), (bob, alice)):
        wait_for(lambda: person.get(f"/presence/{of.user_id}/status")["presence"] == "online")


def test_presence_typing_and_receipts(two_nodes):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    room = alice.create_room(preset="public_chat")
    bob.join(room, via=["acme.localhost"])
    event = alice.send(room, "read me")
    wait_for(lambda: "read me" in bodies(bob, room))
    bob.put(f"/rooms/{room}/typing/{bob.user_id}", {"typing": True, "timeout": 20000})
    bob.post(f"/rooms/{room}/receipt/m.read/{event}", {})

    def found(kind, check):
        def look(answer):
            joined = answer["rooms"].get("join", {}).get(room, {}).get("ephemeral", {}).get("events", [])
            return any(event["type"] == kind and check(event["content"]) for event in joined)
        return look

    alice.sync_until(found("m.typing", lambda content: bob.user_id in content["user_ids"]))
    alice.sync_until(found("m.receipt", lambda content: bob.user_id in content.get(event, {}).get("m.read", {})))


def test_to_device_messages(two_nodes):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    alice.put("/sendToDevice/m.test/t1", {"messages": {bob.user_id: {"*": {"body": "psst"}}}})
    bob.sync_until(lambda answer: any(event["content"].get("body") == "psst"
                                      for event in answer.get("to_device", {}).get("events", [])))


def test_profile_directory_and_alias(two_nodes):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice of Acme"})
    assert bob.get(f"/profile/{alice.user_id}")["displayname"] == "Alice of Acme"
    name = f"room{time.monotonic_ns()}"
    room = alice.create_room(preset="public_chat", visibility="public", room_alias_name=name, name=name)
    assert bob.get(f"/directory/room/%23{name}:acme.localhost")["room_id"] == room
    listed = bob.get("/publicRooms", params={"server": "acme.localhost"})["chunk"]
    assert room in [entry["room_id"] for entry in listed]
    assert bob.join(f"#{name}:acme.localhost") == room


def test_space_hierarchy(two_nodes):
    acme, globex = two_nodes
    alice, bob = acme.new_user("alice"), globex.new_user("bob")
    space = alice.create_room(preset="public_chat", creation_content={"type": "m.space"}, name="space")
    child = alice.create_room(preset="public_chat", name="child")
    hidden = alice.create_room(preset="private_chat", name="hidden")
    for room in (child, hidden):
        alice.set_state(space, "m.space.child", {"via": ["acme.localhost"]}, room)
    bob.join(space, via=["acme.localhost"])
    rooms = bob.get(f"/_matrix/client/v1/rooms/{space}/hierarchy")["rooms"]
    assert [room["room_id"] for room in rooms] == [space, child]
