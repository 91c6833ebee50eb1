"""Joins, leaves, knocks and invites with a hostile server on the other side."""

import pytest

import fedevents
from fedpeer import PeerRoom, now, quote
from machine import wait_for

pytestmark = pytest.mark.peers

DANA, EVE, THEO = "@dana:peer.test", "@eve:peer.test", "@theo:third.test"


def bodies(user, room_id):
    return [event["content"].get("body") for event in user.messages(room_id, dir="b", limit=100)["chunk"]
            if event["type"] == "m.room.message"]


def membership(user, room_id, of):
    return user.get(f"/rooms/{room_id}/state/m.room.member/{of}")["membership"]


def shared(federated, version="11", **more):
    node, peer, _ = federated
    alice = node.new_user("alice")
    room_id = alice.create_room(preset="public_chat", room_version=version, **more)
    return alice, PeerRoom.join(peer, node, room_id, DANA)


def test_CVE_2019_18835_bodies_that_do_not_agree(federated):
    """send_join, send_leave and send_knock take the event of the path, of the sender himself, and nothing else."""
    node, peer, third = federated
    alice, room = shared(federated)
    theirs = PeerRoom.join(third, node, room.room_id, THEO)
    elsewhere = alice.create_room(preset="public_chat", room_version="11")
    good = {"send_join": ("join", EVE), "send_leave": ("leave", DANA), "send_knock": ("knock", EVE)}
    for name, (wanted, user) in good.items():
        version = "v1" if name == "send_knock" else "v2"

        def put(event, room_id=room.room_id, event_id=None, expect=None):
            path = f"/_matrix/federation/{version}/{name}/{quote(room_id)}/{quote(event_id or room.id_of(event))}"
            response = peer.request(node, "PUT", path, event)
            assert 400 <= response.status_code < 500, f"{name} {event}: {response.status_code} {response.text}"
            assert "ed25519:" not in response.text

        def member(who=user, content={"membership": wanted}, sender=None, **changes):
            return room.make(sender or who, "m.room.member", content, who, **changes)

        right = member()
        put({**right, "signatures": {}})
        put(fedevents.without(right, "signatures"))
        put(fedevents.seal("11", right, third.name, third.key))
        put(fedevents.seal("11", right, peer.name, third.key))
        put(right, event_id="$" + "a" * 43)
        put(right, room_id=elsewhere)
        put(member(room_id=elsewhere))
        put(member(), room_id="!nowhere:acme.localhost")
        put(member(THEO))
        put(member(alice.user_id))
        put(member(sender=EVE if user == DANA else DANA))
        put(member(content={"membership": "ban"}))
        put(member(content={}))
        put(room.make(user, "m.room.message", {"membership": wanted}, user))
        put(room.make(user, "m.room.member", {"membership": wanted}, "", ))
        put({}, event_id=room.id_of(right))
    alice.send(room.room_id, "after all that")
    wait_for(lambda: any(pdu["content"].get("body") == "after all that" for pdu in third.pdus()), what="the message")
    assert theirs.room_id == room.room_id and membership(alice, room.room_id, DANA) == "join"


def test_fed_membership_consent(federated):
    """Nobody is joined or removed because another server asks for it."""
    node, peer, third = federated
    alice, room = shared(federated)
    PeerRoom.join(third, node, room.room_id, THEO)
    for user in (THEO, "@other:third.test", alice.user_id, "@new:acme.localhost", "peer.test", "@:peer.test:third.test"):
        for name in ("make_join", "make_leave", "make_knock"):
            path = f"/_matrix/federation/v1/{name}/{quote(room.room_id)}/{quote(user)}?ver=11"
            assert peer.request(node, "GET", path).status_code == 403, (name, user)
    leave = room.make(THEO, "m.room.member", {"membership": "leave"}, THEO)
    peer.put(node, f"/_matrix/federation/v2/send_leave/{quote(room.room_id)}/{quote(room.id_of(leave))}", leave, expect=403)
    assert membership(alice, room.room_id, THEO) == "join"


def invite_of(room, sender, user, **changes):
    return room.make(sender, "m.room.member", {"membership": "invite"}, user, **changes)


def put_invite(peer, node, room, event, state=None, expect=None, version=None, room_id=None, event_id=None):
    state = [room.state["m.room.create", ""]] if state is None else state
    path = f"/_matrix/federation/v2/invite/{quote(room_id or room.room_id)}/{quote(event_id or room.id_of(event))}"
    response = peer.request(node, "PUT", path, {"room_version": version or room.version, "event": event,
                                                "invite_room_state": state})
    if expect is not None:
        assert response.status_code == expect, response.text
    return response


def test_CVE_2025_68667_countersigns_invites_only(federated):
    """The invite endpoint signs an invite of a local user by one of the origin's, and nothing else."""
    node, peer, third = federated
    alice = node.new_user("alice")
    room = PeerRoom.create(peer, DANA)
    outgoing, _ = shared(federated)
    right = invite_of(room, DANA, alice.user_id)
    bad = [
        room.make(DANA, "m.room.member", {"membership": kind}, alice.user_id) for kind in ("leave", "ban", "join", "knock")
    ] + [
        invite_of(room, alice.user_id, DANA),
        invite_of(room, alice.user_id, alice.user_id),
        invite_of(room, THEO, alice.user_id),
        invite_of(room, DANA, EVE),
        invite_of(room, DANA, "@nobody:acme.localhost"),
        room.make(DANA, "m.room.message", {"membership": "invite"}, alice.user_id),
        {**right, "signatures": {}},
        fedevents.seal("11", right, third.name, third.key),
        {**right, "content": {"membership": "invite", "displayname": "tampered"}},
    ]
    for event in bad:
        response = put_invite(peer, node, room, event)
        assert 400 <= response.status_code < 500 and "acme.localhost\":{" not in response.text, (event, response.text)
    assert put_invite(peer, node, room, right, room_id="!other:peer.test").status_code == 400
    assert put_invite(peer, node, room, right, event_id="$" + "b" * 43).status_code == 400
    answer = put_invite(peer, node, room, right, version="1")
    assert answer.status_code == 400 and answer.json()["errcode"] == "M_INCOMPATIBLE_ROOM_VERSION"
    assert alice.sync()["rooms"].get("invite", {}) == {}
    signed = put_invite(peer, node, room, right, expect=200).json()["event"]
    assert set(signed["signatures"]) == {"peer.test", "acme.localhost"} and room.id_of(signed) == room.id_of(right)
    assert room.room_id in alice.sync()["rooms"]["invite"]
    assert outgoing.user_id


@pytest.mark.parametrize("version", ["11", "12"])
@pytest.mark.parametrize("state", [None, "text", 5, {}, [None], [5], [[]], ["text"], [{}],
                                   [{"type": "m.room.name", "state_key": "", "content": None, "sender": DANA}],
                                   [{"type": 5, "state_key": None, "content": [], "sender": "nobody"}]])
def test_CVE_2024_52815_stripped_state_of_any_type(federated, version, state):
    """Whatever stands in invite_room_state, the invited user's sync goes on."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = PeerRoom.create(peer, DANA, version)
    event = invite_of(room, DANA, alice.user_id)
    path = f"/_matrix/federation/v2/invite/{quote(room.room_id)}/{quote(room.id_of(event))}"
    response = peer.request(node, "PUT", path, {"room_version": version, "event": event, "invite_room_state": state})
    # From version 12 on the create event must be there.
    assert response.status_code == (200 if version == "11" else 400), response.text
    invites = alice.sync()["rooms"].get("invite", {})
    assert set(invites) == ({room.room_id} if version == "11" else set())
    alice.leave(room.room_id) if invites else None
    alice.sync()


def test_CVE_2024_52815_knock_state_of_any_type(federated):
    node, peer, _ = federated
    for state in (None, "text", [None], [5], [{}]):
        alice = node.new_user("alice")
        room = PeerRoom.create(peer, DANA, join_rule="knock")

        def make_knock(match, content, query):
            event = room.make(alice.user_id, "m.room.member", {"membership": "knock"}, alice.user_id)
            return {"event": fedevents.without(event, "hashes", "signatures"), "room_version": "11"}

        peer.on("GET", f"/make_knock/{quote(room.room_id)}/", make_knock)
        peer.on("PUT", f"/send_knock/{quote(room.room_id)}/", lambda *_: {"knock_room_state": state})
        alice.post(f"/knock/{quote(room.room_id)}", {}, params={"via": "peer.test", "server_name": "peer.test"})
        assert room.room_id in alice.sync()["rooms"]["knock"]


def test_CVE_2023_32323_invite_with_huge_state(federated):
    """A room's name cannot be so long that its invites block another server's queue."""
    node, peer, _ = federated
    alice, room = shared(federated)
    private = alice.create_room(preset="private_chat", room_version="11")
    for kind, key in (("m.room.name", "name"), ("m.room.topic", "topic"), ("m.room.avatar", "url")):
        alice.set_state(private, kind, {key: "x" * 60000})
    bodies_seen = []

    def invite(match, content, query):
        bodies_seen.append(content)
        return {"event": fedevents.sign("11", content["event"], peer.name, peer.key)}

    peer.on("PUT", "/v2/invite/", invite)
    alice.post(f"/rooms/{private}/invite", {"user_id": EVE})
    assert len(fedevents.canonical(bodies_seen[0])) < 128 * 1024
    assert any(event["type"] == "m.room.create" for event in bodies_seen[0]["invite_room_state"])
    event_id = alice.send(room.room_id, "later")
    wait_for(lambda: any(room.id_of(pdu) == event_id for pdu in peer.pdus()), what="a later event")


def test_CVE_2023_32323_huge_state_received(federated):
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = PeerRoom.create(peer, DANA)
    state = [room.state["m.room.create", ""]] + [
        room.make(DANA, "m.room.name", {"name": "x" * 60000}, "") for _ in range(10)] + [
        room.make(DANA, f"m.test.{number}", {}, "") for number in range(1000)]
    put_invite(peer, node, room, invite_of(room, DANA, alice.user_id), state, expect=200)
    shown = alice.sync()["rooms"]["invite"][room.room_id]["invite_state"]["events"]
    assert len(fedevents.canonical(shown)) < 64 * 1024


TEMPLATES = [
    {"type": "m.room.message"}, {"type": "m.room.power_levels", "state_key": "", "content": {"users": {DANA: 100}}},
    {"room_id": "!other:peer.test"}, {"sender": DANA}, {"state_key": DANA}, {"content": {"membership": "ban"}},
    {"content": {"membership": "invite"}}, {"content": {}}, {"content": None}, {"depth": "1"}, {"depth": -1}, {"depth": 2**53},
    {"prev_events": None}, {"prev_events": [5]}, {"prev_events": ["$" + "a" * 43] * 21}, {"auth_events": ["no id"]},
    {"auth_events": ["$" + "a" * 43] * 11},
]


@pytest.mark.parametrize("name", ["join", "leave", "knock"])
def test_CVE_2026_24471_templates(federated, name):
    """The template of a resident server is never signed when it is of another event than was asked for."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = PeerRoom.create(peer, DANA, join_rule="knock" if name == "knock" else "public")
    put_invite(peer, node, room, invite_of(room, DANA, alice.user_id), expect=200) if name == "leave" else None
    peer.requests.clear()
    for changes in TEMPLATES:
        template = {"type": "m.room.member", "room_id": room.room_id, "sender": alice.user_id, "state_key": alice.user_id,
                    "content": {"membership": name}, "depth": 5, "prev_events": room.latest, "auth_events": [],
                    "origin_server_ts": now(), **changes}
        peer.on("GET", f"/make_{name}/{quote(room.room_id)}/", lambda *_, t=template: {"event": t, "room_version": "11"})
        if name == "leave":
            continue
        response = alice.request("POST", f"/{name}/{quote(room.room_id)}", json={},
                                 params={"via": "peer.test", "server_name": "peer.test"})
        assert response.status_code >= 400, changes
    if name == "leave":
        alice.leave(room.room_id)
    for version in ("1", "9", "99", None, 5):
        peer.on("GET", f"/make_{name}/{quote(room.room_id)}/", lambda *_: {"event": template, "room_version": version})
        if name != "leave":
            assert alice.request("POST", f"/{name}/{quote(room.room_id)}", json={},
                                 params={"via": "peer.test", "server_name": "peer.test"}).status_code >= 400
    assert peer.asked("/make_") and not peer.asked(f"/send_{name}/")
    assert not any(content and "signatures" in str(content) for _, _, content in peer.requests)


@pytest.mark.parametrize("version", ["11", "12"])
def test_CVE_2025_54315_another_create_event(federated, version):
    """A room is that of the create event it was first known by: in joins, invites and events."""
    node, peer, _ = federated
    alice, bob = node.new_user("alice"), node.new_user("bob")
    room = PeerRoom.create(peer, DANA, version)
    peer.host(room)
    alice.join(room.room_id, via=["peer.test"])
    state = {event["event_id"] for event in alice.get(f"/rooms/{room.room_id}/state")}
    twin = PeerRoom.create(peer, DANA, version, predecessor={"room_id": "!x:y"})
    other_create = room.make(DANA, "m.room.create", {"room_version": version, "x": 1}, "", prev_events=[], auth_events=[],
                             depth=1, room_id=None if version == "12" else room.room_id)
    peer.send(node, other_create)
    assert {event["event_id"] for event in alice.get(f"/rooms/{room.room_id}/state")} == state
    if version == "12":
        fresh = PeerRoom.create(peer, DANA, version)
        response = put_invite(peer, node, fresh, invite_of(fresh, DANA, bob.user_id), [twin.state["m.room.create", ""]])
        assert response.status_code == 400
    # Everybody leaves, and the room that is joined again is another one.
    alice.leave(room.room_id)
    fake = PeerRoom(peer, room.room_id, version)
    fake.add(other_create)
    fake.add(fake.make(DANA, "m.room.member", {"membership": "join"}, DANA))
    fake.add(fake.make(DANA, "m.room.join_rules", {"join_rule": "public"}, ""))
    peer.host(fake)
    response = alice.request("POST", f"/join/{quote(room.room_id)}", json={}, params={"via": "peer.test",
                                                                                     "server_name": "peer.test"})
    assert response.status_code >= 400


@pytest.mark.parametrize("version", ["11", "12"])
def test_CVE_2018_16515_join_answer(federated, version):
    """State in others' names, not signed by them, does not come in with a join."""
    node, peer, third = federated
    alice = node.new_user("alice")
    room = PeerRoom.create(peer, DANA, version)
    theo = room.make(THEO, "m.room.member", {"membership": "join"}, THEO)
    unsigned = fedevents.without(room.make(DANA, "m.room.topic", {"topic": "unsigned"}, ""), "signatures") | {"signatures": {}}
    elsewhere = PeerRoom.create(peer, DANA, version, purpose="another")  # else they may be one, made in one millisecond
    name = elsewhere.make(DANA, "m.room.name", {"name": "of another room"}, "")
    assert elsewhere.room_id != room.room_id
    peer.host(room, state=[*room.state.values(), theo, unsigned, name])
    alice.join(room.room_id, via=["peer.test"])
    state = {(event["type"], event["state_key"]) for event in alice.get(f"/rooms/{room.room_id}/state")}
    assert not state & {("m.room.member", THEO), ("m.room.topic", ""), ("m.room.name", "")}
    assert ("m.room.member", DANA) in state


def test_join_answer_without_create(federated):
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = PeerRoom.create(peer, DANA)
    state = [event for (kind, _), event in room.state.items() if kind != "m.room.create"]
    peer.host(room, state=state, auth_chain=state)
    response = alice.request("POST", f"/join/{quote(room.room_id)}", json={}, params={"via": "peer.test",
                                                                                     "server_name": "peer.test"})
    assert response.status_code >= 400
    alice.get(f"/rooms/{room.room_id}/state", expect=(403, "M_FORBIDDEN"))
    # Nothing half written stands in the way of a better answer.
    peer.host(room)
    alice.join(room.room_id, via=["peer.test"])


def test_join_answer_that_repeats_itself(federated):
    """Each event counts once, however often and wherever the answer lists it."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = PeerRoom.create(peer, DANA)
    state = list(room.state.values())
    peer.host(room, state=state * 3, auth_chain=state * 3)
    alice.join(room.room_id, via=["peer.test"])
    shown = [(event["type"], event["state_key"]) for event in alice.get(f"/rooms/{room.room_id}/state")]
    assert sorted(shown) == sorted([*room.state]) and ("m.room.member", DANA) in shown


def test_restricted_join_is_countersigned(federated):
    """A server vouches only for those who may join, and its signature is on the event that others get."""
    node, peer, third = federated
    alice = node.new_user("alice")
    club = alice.create_room(preset="public_chat", room_version="11")
    room_id = alice.create_room(preset="private_chat", room_version="11", initial_state=[
        {"type": "m.room.join_rules",
         "content": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}}])
    path = f"/_matrix/federation/v1/make_join/{quote(room_id)}/{quote(DANA)}?ver=11"
    assert peer.request(node, "GET", path).status_code == 403
    PeerRoom.join(peer, node, club, DANA)
    room = PeerRoom.join(peer, node, room_id, DANA)
    stored = alice.get(f"/rooms/{room_id}/state/m.room.member/{DANA}")
    assert stored["join_authorised_via_users_server"] == alice.user_id
    room.say(node, DANA, "hello")
    # One who is in no such room cannot use a template that was made for somebody else.
    made = fedevents.without(room.make(EVE, "m.room.member", {
        "membership": "join", "join_authorised_via_users_server": alice.user_id}, EVE), "hashes", "signatures")
    forged = room.seal(made)
    response = peer.request(node, "PUT", f"/_matrix/federation/v2/send_join/{quote(room_id)}/{quote(room.id_of(forged))}", forged)
    assert response.status_code == 403 and "acme.localhost" not in response.text


def test_restricted_join_that_cannot_be_judged(federated):
    """Who is in a room that this server is not in, or no more, it cannot say: another server of the room may."""
    node, peer, _ = federated
    alice, bert = node.new_user("alice"), node.new_user("bert")
    club = bert.create_room(preset="public_chat", room_version="11")

    def ask(*allowed):
        rules = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": each} for each in allowed]}
        room = alice.create_room(room_version="11", initial_state=[{"type": "m.room.join_rules", "content": rules}])
        response = peer.request(node, "GET", f"/_matrix/federation/v1/make_join/{quote(room)}/{quote(DANA)}?ver=11")
        return response.status_code, response.json().get("errcode")

    assert ask("!elsewhere:third.test") == (400, "M_UNABLE_TO_AUTHORISE_JOIN")
    assert ask(club) == (403, "M_FORBIDDEN")
    assert ask() == (403, "M_FORBIDDEN")
    PeerRoom.join(peer, node, club, DANA)
    assert ask("!elsewhere:third.test", club) == (200, None)
    bert.leave(club)
    assert ask(club) == (400, "M_UNABLE_TO_AUTHORISE_JOIN")


@pytest.mark.parametrize("status, errcode, shown", [
    (400, "M_INCOMPATIBLE_ROOM_VERSION", (400, "M_UNSUPPORTED_ROOM_VERSION")),
    (400, "M_INVALID_PARAM", (502, "M_UNKNOWN")),
    (403, "M_INVITE_BLOCKED", (403, "M_INVITE_BLOCKED")),
])
def test_refused_invites(federated, status, errcode, shown):
    """The client is told what is wrong with its invite, not with how the servers talk; and of a direct chat with nobody to
    talk to nothing stays."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = alice.create_room()
    peer.on("PUT", "/v2/invite/", lambda match, content, query: (status, {"errcode": errcode, "error": "no"}))
    alice.post(f"/rooms/{room}/invite", {"user_id": EVE}, expect=shown)
    alice.post("/createRoom", {"is_direct": True, "invite": [EVE]}, expect=shown)
    assert alice.get("/joined_rooms")["joined_rooms"] == [room]
    group = alice.create_room(invite=[EVE])
    company = alice.create_room(is_direct=True, invite=[EVE, node.new_user("bert").user_id])
    assert set(alice.get("/joined_rooms")["joined_rooms"]) == {room, group, company}
