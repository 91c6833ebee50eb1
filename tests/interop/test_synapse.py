"""A company on Comity and a partner on Synapse."""

import itertools

import pytest

from client import quote
from machine import free_port, wait_for
from nio_person import Person, encryption, must, run
from node import Node
from synapse import Synapse

pytestmark = [pytest.mark.peers, pytest.mark.slow]

VERSIONS = ["10", "11", "12"]
HERE, THERE = "comity", "synapse"


@pytest.fixture(scope="module")
def servers(authority):
    """Both are called localhost:PORT, which is where the other finds them."""
    synapse = Synapse(authority)
    port = free_port()
    node = Node(f"localhost:{port}", {"federation": {"ca_file": authority.ca}}, tls=authority.issue("localhost"), ca=authority.ca)
    node.federation_port = port
    try:
        yield {HERE: node.start(), THERE: synapse.start()}
    finally:
        synapse.remove()
        status, complaints = node.stop(), node.complaints()
        node.remove()
    assert status == 0 and not complaints, "\n".join(complaints)


@pytest.fixture
def pair(servers):
    """(owner, guest) of both servers, either way round by the parameter `owner`."""
    return lambda owner: (servers[owner].new_user("owner"), servers[THERE if owner == HERE else HERE].new_user("guest"))


either_way = pytest.mark.parametrize("owner", [HERE, THERE])
each_version = pytest.mark.parametrize("version", VERSIONS)


def enter(owner, guest, **body):
    """A room of `owner`'s that `guest` has joined from the other server."""
    room = owner.create_room(preset="public_chat", **body)
    guest.join(room, via=[owner.node.server_name])
    wait_for(lambda: guest.user_id in members(owner, room), 20, what="the guest's join")
    return room


def members(client, room):
    return set(client.get(f"/rooms/{quote(room)}/joined_members")["joined"])


def hears(client, room, event_id, seconds=20):
    """The event, once it is in the client's timeline."""
    def found():
        response = client.request("GET", f"/rooms/{quote(room)}/event/{quote(event_id)}")
        return response.json() if response.status_code == 200 else None

    return wait_for(found, seconds, what=f"{event_id} at {client.node.server_name}")


def state_of(client, room):
    """{(type, state key): event id} of the room's state."""
    return {(event["type"], event["state_key"]): event["event_id"] for event in client.get(f"/rooms/{quote(room)}/state")}


def assert_same_state(room, *clients):
    wait_for(lambda: all(state_of(each, room) == state_of(clients[0], room) for each in clients), 20, what="equal states")


@either_way
@each_version
def test_talk(pair, owner, version):
    owner, guest = pair(owner)
    room = enter(owner, guest, room_version=version)
    for speaker, listener, text in ((owner, guest, "Good morning"), (guest, owner, "Good morning to you"), (owner, guest, "Shall we?")):
        assert hears(listener, room, speaker.send(room, text))["content"]["body"] == text
    assert_same_state(room, owner, guest)


@either_way
@each_version
def test_history_from_before_the_join(pair, owner, version):
    owner, guest = pair(owner)
    room = owner.create_room(preset="public_chat", room_version=version)
    sent = [owner.send(room, f"message {i}") for i in range(30)]
    guest.join(room, via=[owner.node.server_name])

    def seen():
        events, token = [], None
        while True:
            page = guest.messages(room, limit=20, **({"from": token} if token else {}))
            events += [event["event_id"] for event in page["chunk"] if event["type"] == "m.room.message"]
            token = page.get("end")
            if not token or not page["chunk"]:
                return events

    wait_for(lambda: seen() == sent[::-1], 20, what="the whole history, each message once")


@either_way
@each_version
def test_invite_accept_leave(pair, owner, version):
    owner, guest = pair(owner)
    room = owner.create_room(preset="private_chat", name="Contract", room_version=version)
    owner.invite(room, guest)
    invite, since = guest.sync_until(lambda answer: answer.get("rooms", {}).get("invite", {}).get(room), seconds=20)
    stripped = {event["type"]: event["content"] for event in invite["invite_state"]["events"]}
    assert stripped["m.room.name"] == {"name": "Contract"}
    guest.join(room)
    wait_for(lambda: guest.user_id in members(owner, room), 20, what="the join")
    guest.leave(room)
    wait_for(lambda: guest.user_id not in members(owner, room), 20, what="the leave")


@either_way
@each_version
def test_invite_declined(pair, owner, version):
    owner, guest = pair(owner)
    room = owner.create_room(preset="private_chat", room_version=version)
    owner.invite(room, guest)
    guest.sync_until(lambda answer: answer.get("rooms", {}).get("invite", {}).get(room), seconds=20)
    guest.leave(room)
    wait_for(lambda: owner.state(room, "m.room.member", guest.user_id)["membership"] == "leave", 20, what="the refusal")


@either_way
@each_version
def test_knock(pair, owner, version):
    owner, guest = pair(owner)
    room = owner.create_room(preset="private_chat", room_version=version,
                             initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    guest.post(f"/knock/{quote(room)}?via={quote(owner.node.server_name)}&server_name={quote(owner.node.server_name)}",
               {"reason": "Let me in"})
    wait_for(lambda: owner.request("GET", f"/rooms/{quote(room)}/state/m.room.member/{quote(guest.user_id)}").json()
             .get("membership") == "knock", 20, what="the knock")
    owner.invite(room, guest)
    guest.sync_until(lambda answer: answer.get("rooms", {}).get("invite", {}).get(room), seconds=20)
    guest.join(room)
    wait_for(lambda: guest.user_id in members(owner, room), 20, what="the join")


@either_way
@each_version
def test_restricted_join(pair, owner, version):
    """Who is in the one room may enter the other."""
    owner, guest = pair(owner)
    lobby = enter(owner, guest, room_version=version)
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": lobby}]}
    room = owner.create_room(preset="private_chat", room_version=version,
                             initial_state=[{"type": "m.room.join_rules", "content": rule}])
    guest.join(room, via=[owner.node.server_name])
    member = hears(guest, room, state_of(guest, room)[("m.room.member", guest.user_id)])
    assert member["content"]["join_authorised_via_users_server"] == owner.user_id
    assert hears(owner, room, guest.send(room, "inside"))["content"]["body"] == "inside"


@either_way
@each_version
def test_kick_and_ban(pair, owner, version):
    owner, guest = pair(owner)
    room = enter(owner, guest, room_version=version)
    owner.post(f"/rooms/{quote(room)}/kick", {"user_id": guest.user_id})
    _, since = guest.sync_until(lambda answer: answer.get("rooms", {}).get("leave", {}).get(room), seconds=20)
    guest.join(room, via=[owner.node.server_name])
    _, since = guest.sync_until(lambda answer: answer.get("rooms", {}).get("join", {}).get(room), since, seconds=20)
    owner.post(f"/rooms/{quote(room)}/ban", {"user_id": guest.user_id})
    guest.sync_until(lambda answer: answer.get("rooms", {}).get("leave", {}).get(room), since, seconds=20)
    guest.post(f"/join/{quote(room)}?via={quote(owner.node.server_name)}&server_name={quote(owner.node.server_name)}",
               expect=(403, "M_FORBIDDEN"))


@either_way
@each_version
def test_redaction(pair, owner, version):
    owner, guest = pair(owner)
    room = enter(owner, guest, room_version=version)
    secret = guest.send(room, "a slip")
    hears(owner, room, secret)
    owner.put(f"/rooms/{quote(room)}/redact/{quote(secret)}/{quote(secret)}", {"reason": "a slip"})
    for each in (owner, guest):
        wait_for(lambda: hears(each, room, secret)["content"] == {}, 20, what="the redaction")


@each_version
def test_power_and_state_from_both_sides(pair, version):
    """Both are moderators and change the state at the same time; both servers end with the same."""
    owner, guest = pair(HERE)
    room = enter(owner, guest, room_version=version)
    levels = owner.state(room, "m.room.power_levels")
    levels.setdefault("users", {})[guest.user_id] = 50
    owner.set_state(room, "m.room.power_levels", levels)
    wait_for(lambda: guest.state(room, "m.room.power_levels").get("users", {}).get(guest.user_id) == 50, 20, what="the power")
    for i in range(10):
        owner.set_state(room, "m.room.topic", {"topic": f"owner {i}"})
        guest.set_state(room, "m.room.topic", {"topic": f"guest {i}"})
        guest.set_state(room, "m.room.name", {"name": f"guest {i}"})
    for each in (owner, guest):
        each.send(room, "done")
    assert_same_state(room, owner, guest)


@either_way
def test_alias_directory_profile(pair, owner):
    owner, guest = pair(owner)
    name = f"room{owner.user_id[1:8].replace(':', '')}{free_port()}"
    room = owner.create_room(preset="public_chat", room_alias_name=name, visibility="public", name=name)
    alias = f"#{name}:{owner.node.server_name}"
    assert guest.get(f"/directory/room/{quote(alias)}")["room_id"] == room

    def listed():
        answer = guest.post(f"/publicRooms?server={quote(owner.node.server_name)}", {"filter": {"generic_search_term": name}})
        return [each["room_id"] for each in answer["chunk"]]

    wait_for(lambda: listed() == [room], 20, what="the room in the list")
    owner.put(f"/profile/{quote(owner.user_id)}/displayname", {"displayname": "The Owner"})
    assert guest.get(f"/profile/{quote(owner.user_id)}")["displayname"] == "The Owner"
    assert guest.join(alias) == room


@either_way
def test_encrypted_room(pair, owner, tmp_path):
    """Devices and keys are asked for, claimed and told across the servers."""
    async def enter_with_nio(client, name):
        store = tmp_path / name
        store.mkdir()
        return await Person(client.node.url, client.user_id, store).sign_in(client.password)

    async def story(owner, guest):
        alice, bob = await enter_with_nio(owner, "alice"), await enter_with_nio(guest, "bob")
        made = must(await alice.client.room_create(invite=[guest.user_id], initial_state=[encryption()]))
        await alice.until("the new room is known", lambda: made.room_id in alice.client.rooms)
        await bob.join(made.room_id)
        await alice.sees(made.room_id, guest.user_id)
        for speaker, listener, body in ((alice, bob, "one"), (bob, alice, "two"), (alice, bob, "three")):
            assert await listener.hear(made.room_id, await speaker.say(made.room_id, body)) == body
        await alice.leave_the_house()
        await bob.leave_the_house()

    run(story(*pair(owner)))


@either_way
def test_ephemeral(pair, owner):
    """Typing and receipts arrive."""
    owner, guest = pair(owner)
    room = enter(owner, guest)
    event = owner.send(room, "read this")
    hears(guest, room, event)

    def ephemeral(kind):
        def found(answer):
            events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("ephemeral", {}).get("events", [])
            return [each["content"] for each in events if each["type"] == kind and each["content"] not in ({}, {"user_ids": []})]
        return found

    guest.post(f"/rooms/{quote(room)}/receipt/m.read/{quote(event)}", {})
    assert guest.user_id in owner.sync_until(ephemeral("m.receipt"), seconds=20)[0][-1][event]["m.read"]
    guest.put(f"/rooms/{quote(room)}/typing/{quote(guest.user_id)}", {"typing": True, "timeout": 30000})
    assert owner.sync_until(ephemeral("m.typing"), seconds=20)[0][-1] == {"user_ids": [guest.user_id]}


@either_way
def test_media(pair, owner):
    owner, guest = pair(owner)
    data = bytes(range(256)) * 50
    response = owner.request("POST", "/_matrix/media/v3/upload?filename=contract.bin", data=data,
                             headers={"Content-Type": "application/octet-stream"})
    assert response.status_code == 200, response.text
    server, media = response.json()["content_uri"].removeprefix("mxc://").split("/")
    got = guest.request("GET", f"/_matrix/client/v1/media/download/{server}/{media}")
    assert got.status_code == 200, got.text
    assert got.content == data and "contract.bin" in got.headers["Content-Disposition"]


@either_way
def test_catches_up_after_the_other_was_down(pair, servers, owner):
    """What was said while one server was down is there when it is back, in both directions."""
    owner, guest = pair(owner)
    room = enter(owner, guest)
    guest.node.stop()
    missed = [owner.send(room, f"missed {i}") for i in range(25)]
    guest.node.start()
    after = owner.send(room, "welcome back")
    for event in itertools.chain([after], missed):
        hears(guest, room, event, seconds=60)
    assert hears(owner, room, guest.send(room, "thanks"))["content"]["body"] == "thanks"
    assert_same_state(room, owner, guest)
