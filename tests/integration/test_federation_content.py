"""What may stand in the events and requests of other servers: texts, redactions, creators, and events on paths aside."""

import itertools
import time

import pytest

import fedevents
from fedpeer import PeerRoom, now, quote
from machine import wait_for

pytestmark = pytest.mark.peers

DANA, EVE, THEO = "@dana:peer.test", "@eve:peer.test", "@theo:third.test"
V1, V2 = "/_matrix/federation/v1/", "/_matrix/federation/v2/"


def bodies(user, room_id, limit=100):
    return [event["content"].get("body") for event in user.messages(room_id, dir="b", limit=limit)["chunk"]
            if event["type"] == "m.room.message"]


def shared(federated, version="11", **more):
    node, peer, _ = federated
    alice = node.new_user("alice")
    room_id = alice.create_room(preset="public_chat", room_version=version, **more)
    peer.handlers.clear()
    return alice, PeerRoom.join(peer, node, room_id, DANA)


def with_third(federated, room):
    """Theo of the third server joins, and the peer knows."""
    node, _, third = federated
    other = PeerRoom.join(third, node, room.room_id, THEO)
    room.all.update(other.all)
    room.state.update(other.state)
    room.latest, room.depth = list(other.latest), other.depth
    return other


# Texts

def test_json_nul_and_unicode_round_trip(federated):
    """NUL, noncharacters and what lies beyond the basic plane come out of an event as they went in, here and at a third server."""
    node, peer, third = federated
    alice, room = shared(federated)
    other = with_third(federated, room)
    content = {"msgtype": "m.text", "body": "a\0b", "nul\0key": "\0", "￾￿": "￾\U0010ffff", "nested": {"\0": ["\0\0"]}, "bom": "\ufeff"}
    event_id = room.send(node, DANA, "m.room.message", content)
    assert alice.event(room.room_id, event_id)["content"] == content
    assert [event["content"] for event in alice.messages(room.room_id)["chunk"] if event["event_id"] == event_id] == [content]
    pdu = third.get(node, f"{V1}event/{quote(event_id)}")["pdus"][0]
    assert pdu["content"] == content and other.id_of(pdu) == event_id
    sent = alice.send(room.room_id, content)
    pdu = wait_for(lambda: [pdu for pdu in third.pdus() if other.id_of(pdu) == sent], what="the same from here")[0]
    assert pdu["content"] == content


def test_json_nul_in_identifiers(federated):
    """Where a name or an id is meant, NUL is an error of that event alone."""
    node, peer, _ = federated
    alice, room = shared(federated)
    alice.set_state(room.room_id, "m.room.power_levels", {**alice.state(room.room_id, "m.room.power_levels"), "state_default": 0})
    bad = [
        room.make(DANA, "m.test\0", {}),
        room.make(DANA, "m.test", {}, "key\0"),
        room.make("@dana\0:peer.test", "m.room.message", {"body": "x"}),
        room.make(DANA, "m.room.message", {"body": "x"}, room_id=room.room_id + "\0"),
        room.make(DANA, "m.room.message", {"body": "x"}, prev_events=[room.latest[0] + "\0"]),
    ]
    good = room.message(DANA, "good")
    result = peer.send(node, *bad, good)
    assert result[room.id_of(good)] == {}
    wait_for(lambda: bodies(alice, room.room_id) == ["good"], what="the good event")
    alice.get(f"/rooms/{room.room_id}/state/m.test/key", expect=404)
    alice.get(f"/rooms/{room.room_id}/state/m.test/", expect=404)
    for path in ("query/profile?user_id=%40a%00%3Aacme.localhost", "event/%24a%00", f"state/{quote(room.room_id)}%00?event_id=%24a",
                 f"make_join/{quote(room.room_id)}/%40dana%00%3Apeer.test?ver=11", "user/devices/%40a%00%3Aacme.localhost"):
        assert peer.request(node, "GET", V1 + path).status_code in (400, 403, 404), path


def test_json_unicode(federated):
    """Bytes that are no UTF-8, and halves of surrogate pairs, have no canonical form that anybody could have signed."""
    node, peer, _ = federated
    alice, room = shared(federated)
    for data in (b'{"pdus":[],"a":"\xff\xfe"}', b'\xff\xfe{\x00}\x00', b'{"pdus":[],"\xc0\xaf":1}', b'{"pdus":[],"a":"\xed\xa0\x80"}',
                 b'\xef\xbb\xbf{"pdus":[]}', b'{"pdus":[],"a":"\\ud800"}', b'{"pdus":[],"\\udc00":1}', b'{"pdus":[],"a":"\\ud800\\u0041"}'):
        target = f"{V1}send/unicode"
        header = {"Authorization": peer.authorization("PUT", target, node.server_name, {"pdus": []})}
        response = peer.request(node, "PUT", target, headers=header, data=data)
        assert (response.status_code, response.json()["errcode"]) == (400, "M_NOT_JSON"), data
    for path in ("event/%FF%FE", "query/profile?user_id=%40%ff%3Aacme.localhost", "query/directory?room_alias=%23%C0%AF%3Aacme.localhost"):
        assert peer.request(node, "GET", V1 + path).status_code in (400, 404), path
    room.say(node, DANA, "goes on")
    assert bodies(alice, room.room_id) == ["goes on"]


BODIES = [b"", b" \n\t ", b"null", b"5", b"[]", b'"x"', b"true", b"{", b"[" * 100000, b'{"a":' * 50000, b'{"a":' * 101 + b"1" + b"}" * 101]
WITH_BODY = [
    ("PUT", V1 + "send/empty-root"), ("PUT", V2 + "invite/!a:acme.localhost/$a"), ("PUT", V1 + "send_join/!a:acme.localhost/$a"),
    ("PUT", V2 + "send_join/!a:acme.localhost/$a"), ("PUT", V1 + "send_leave/!a:acme.localhost/$a"),
    ("PUT", V2 + "send_leave/!a:acme.localhost/$a"), ("PUT", V1 + "send_knock/!a:acme.localhost/$a"),
    ("POST", V1 + "get_missing_events/!a:acme.localhost"), ("POST", V1 + "publicRooms"), ("POST", V1 + "user/keys/query"),
    ("POST", V1 + "user/keys/claim"), ("POST", "/_matrix/key/v2/query"),
]


@pytest.mark.parametrize("method, target", WITH_BODY)
def test_json_empty_root_json_nesting(federated, method, target):
    """Every body of another server must be an object, and no tower."""
    node, peer, _ = federated
    header = {"Authorization": peer.authorization(method, target, node.server_name, {})}
    for body in BODIES:
        response = peer.request(node, method, target, headers=header, data=body)
        assert response.status_code in (400, 401, 413), (body[:20], response.text)
        assert response.json()["errcode"] in ("M_NOT_JSON", "M_BAD_JSON", "M_UNAUTHORIZED", "M_TOO_LARGE"), (body[:20], response.text)


def test_json_nesting_in_an_event(federated):
    """A tower in one event is that event's fault, as long as the transaction can be read at all."""
    node, peer, _ = federated
    alice, room = shared(federated)
    deep = value = {}
    for _ in range(90):
        value["a"] = value = {}
    tower = room.make(DANA, "m.room.message", {"body": "tower", "deep": deep})
    good = room.message(DANA, "good")
    assert peer.send(node, tower, good)[room.id_of(good)] == {}
    assert "good" in bodies(alice, room.room_id)
    alice.sync()


def test_hash_collision(federated):
    """Keys that an unseeded hash would put in one place cost no more than others."""
    node, peer, _ = federated
    alice, room = shared(federated)
    keys = ["".join(parts) for parts in itertools.islice(itertools.product(("Ez", "FY"), repeat=11), 2048)]
    flood = [room.make(DANA, "m.room.message", {"body": "flood", **{f"{key}{number}": 1 for key in keys}}) for number in range(20)]
    began = time.monotonic()
    assert all(result == {} for result in peer.send(node, *flood).values())
    assert time.monotonic() - began < 5
    assert bodies(alice, room.room_id) == ["flood"] * 20


# Redactions

def redaction(room, sender, target, **changes):
    return room.make(sender, "m.room.redaction", {"redacts": target}, **changes)


def text_of(user, room_id, event_id):
    return user.event(room_id, event_id)["content"].get("body")


@pytest.mark.parametrize("first", ["target", "redaction"])
def test_CVE_2024_6302_redaction_auth_over_federation(federated, first):
    """Another server's redaction is for its own users' events, in the same room, whichever comes first."""
    node, peer, third = federated
    alice, room = shared(federated)
    other = with_third(federated, room)
    local = alice.send(room.room_id, "local")
    theirs = other.message(THEO, "theirs")
    own = room.message(DANA, "own")
    redactions = [redaction(room, DANA, target) for target in (local, other.id_of(theirs), room.id_of(own))]
    steps = [lambda: third.send(node, theirs), lambda: peer.send(node, own), lambda: peer.send(node, *redactions)]
    for step in steps if first == "target" else reversed(steps):
        step()
    assert text_of(alice, room.room_id, local) == "local"
    assert text_of(alice, room.room_id, other.id_of(theirs)) == "theirs"
    assert text_of(alice, room.room_id, room.id_of(own)) is None
    # In a room of the peer's own, where Dana has all power, she names an event of the other room.
    own_room = PeerRoom.create(peer, DANA)
    peer.host(own_room)
    alice.join(own_room.room_id, via=["peer.test"])
    peer.send(node, redaction(own_room, DANA, local), redaction(own_room, DANA, other.id_of(theirs)))
    assert text_of(alice, room.room_id, local) == "local"
    assert text_of(alice, room.room_id, other.id_of(theirs)) == "theirs"


def test_CVE_2024_6302_redactions_wait_unseen(federated):
    """Clients are shown a redaction when it takes effect: not before its target came, and never when it may not."""
    node, peer, third = federated
    alice, room = shared(federated)
    other = with_third(federated, room)
    local = alice.send(room.room_id, "local")
    since = alice.sync()["next_batch"]
    own = room.message(DANA, "own", prev_events=[local])
    in_vain = room.make(DANA, "m.room.redaction", {"redacts": local}, prev_events=[local])
    waits = room.make(DANA, "m.room.redaction", {"redacts": room.id_of(own)}, prev_events=[local])
    assert set(map(str, peer.send(node, in_vain, waits).values())) == {"{}"}
    after = alice.send(room.room_id, "after")
    for event in (in_vain, waits):
        alice.event(room.room_id, room.id_of(event), expect=404)
    shown, since = alice.sync_until(lambda answer: after in str(answer) and answer, since)
    assert room.id_of(in_vain) not in str(shown) and room.id_of(waits) not in str(shown)
    # They are in the graph all the same: the next event stands on them, and other servers may ask for them.
    sent = wait_for(lambda: [pdu for pdu in third.pdus() if other.id_of(pdu) == after], what="the next event")[0]
    assert {room.id_of(in_vain), room.id_of(waits)} <= set(sent["prev_events"])
    assert third.get(node, f"{V1}event/{quote(room.id_of(waits))}")["pdus"][0]["content"]["redacts"] == room.id_of(own)
    peer.send(node, own)
    shown, since = alice.sync_until(lambda answer: room.id_of(waits) in str(answer) and answer, since)
    assert room.id_of(in_vain) not in str(shown) and '"own"' not in str(shown)
    assert alice.event(room.room_id, room.id_of(waits))["type"] == "m.room.redaction"
    assert text_of(alice, room.room_id, room.id_of(own)) is None
    ids = [event["event_id"] for event in alice.messages(room.room_id, limit=50)["chunk"]]
    assert room.id_of(waits) in ids and room.id_of(in_vain) not in ids
    # And when the node has started anew between the two.
    late = room.message(DANA, "late", prev_events=[local])
    waits = room.make(DANA, "m.room.redaction", {"redacts": room.id_of(late)}, prev_events=[local])
    peer.send(node, waits)
    node.restart()
    alice.event(room.room_id, room.id_of(waits), expect=404)
    peer.send(node, late)
    assert text_of(alice, room.room_id, room.id_of(late)) is None
    assert alice.event(room.room_id, room.id_of(waits))["content"]["redacts"] == room.id_of(late)
    assert alice.send(room.room_id, "goes on")


def test_redaction_special_targets_over_federation(federated):
    """What a version protects stays when a redaction strikes it, and redactions of redactions lead nowhere."""
    node, peer, _ = federated
    alice, room = shared(federated)
    levels = {**alice.state(room.room_id, "m.room.power_levels"), "users": {alice.user_id: 100, DANA: 100}}
    alice.set_state(room.room_id, "m.room.power_levels", levels)
    alice.send(room.room_id, "last")
    room = PeerRoom.join(peer, node, room.room_id, DANA)
    create = room.id_of(room.state["m.room.create", ""])
    powers = room.id_of(room.state["m.room.power_levels", ""])
    rules = room.id_of(room.state["m.room.join_rules", ""])
    for target in (create, powers, rules):
        room.send(node, DANA, "m.room.redaction", {"redacts": target})
    state = {event["type"]: event["content"] for event in alice.get(f"/rooms/{room.room_id}/state")}
    assert state["m.room.create"]["room_version"] == "11"
    assert state["m.room.power_levels"]["users"] == levels["users"]
    assert state["m.room.join_rules"] == {"join_rule": "public"}
    # Two that strike one another, and one that strikes itself as far as that can be.
    first = room.make(DANA, "m.room.redaction", {"redacts": "$" + "a" * 43, "reason": "first"})
    second = redaction(room, DANA, room.id_of(first))
    third = redaction(room, DANA, room.id_of(second))
    peer.send(node, third, second, first)
    room.add(first)
    room.latest = [room.id_of(each) for each in (first, second, third)]
    room.say(node, DANA, "goes on")
    alice.event(room.room_id, room.id_of(first), expect=404)  # its target is nowhere
    assert "first" not in peer.request(node, "GET", f"{V1}event/{quote(room.id_of(first))}").text
    assert alice.event(room.room_id, room.id_of(second))["content"] == {"redacts": room.id_of(first)}


def test_CVE_2024_6300_redacted_over_federation(federated):
    """Other servers get a redacted event pruned, whichever way they ask."""
    node, peer, third = federated
    alice, room = shared(federated)
    other = with_third(federated, room)
    secret = alice.send(room.room_id, "xylophone")
    alice.put(f"/rooms/{room.room_id}/redact/{secret}/r1", {})
    latest = alice.send(room.room_id, "after")
    rid = quote(room.room_id)
    answers = [
        third.request(node, "GET", f"{V1}event/{quote(secret)}"),
        third.request(node, "GET", f"{V1}backfill/{rid}?v={quote(latest)}&limit=50"),
        third.request(node, "POST", f"{V1}get_missing_events/{rid}",
                      {"earliest_events": other.latest, "latest_events": [latest], "limit": 20}),
    ]
    for answer in answers:
        assert answer.status_code == 200 and "xylophone" not in answer.text
        events = answer.json().get("pdus", []) + answer.json().get("events", [])
        assert secret in [other.id_of(event) for event in events]


# Paths aside

def hostile(room, state):
    """Events that are in others' names, or unsigned, or of another room."""
    forged = room.make(THEO, "m.room.topic", {"topic": "forged"}, "", prev_events=state["prev"])
    unsigned = {**room.make(DANA, "m.room.topic", {"topic": "forged unsigned"}, "", prev_events=state["prev"]), "signatures": {}}
    message = room.make(THEO, "m.room.message", {"msgtype": "m.text", "body": "forged message"}, prev_events=state["prev"])
    return [forged, unsigned, message]


def test_CVE_2018_16515_backfill(federated):
    """History that a server makes up in another's name does not become history."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    peer.handlers.clear()
    room = PeerRoom.create(peer, DANA)
    room.add(room.make(DANA, "m.room.history_visibility", {"history_visibility": "world_readable"}, ""))
    start = list(room.latest)
    true = [room.add(room.message(DANA, f"true {number}")) for number in range(3)]
    peer.host(room)
    alice.join(room.room_id, via=["peer.test"])
    lies = hostile(room, {"prev": start})
    peer.on("GET", "/backfill/", lambda *_: {"origin": peer.name, "origin_server_ts": now(), "pdus": [*true, *lies]})
    state = [room.id_of(event) for event in room.state.values() if event["type"] != "m.room.member" or event["state_key"] == DANA]
    peer.on("GET", "/state_ids/", lambda *_: {"pdu_ids": state, "auth_chain_ids": []})
    wait_for(lambda: {"true 0", "true 1", "true 2"} <= set(bodies(alice, room.room_id)), what="the true history")
    assert "forged" not in str(alice.messages(room.room_id, limit=100))


def test_class_event_auth_cross_room_state_ids(federated):
    """A state that another server tells holds no events of other rooms, which would be shown to all of this one."""
    node, peer, _ = federated
    alice, room = shared(federated)
    owner = node.new_user("owner")
    private = owner.create_room()
    secret = owner.set_state(private, "org.example.secret", {"text": "for the owner alone"})["event_id"]
    foreign_power = owner.state(private, "m.room.power_levels", params={"format": "event"})["event_id"]
    lost = room.message(DANA, "lost")
    after = room.message(DANA, "after the gap", prev_events=[room.id_of(lost)])
    state = [*[room.id_of(event) for event in room.state.values()], secret, foreign_power]
    peer.on("POST", "/get_missing_events/", lambda *_: {"events": []})
    peer.on("GET", "/state_ids/", lambda *_: {"pdu_ids": state, "auth_chain_ids": []})
    peer.send(node, after)
    wait_for(lambda: "after the gap" in bodies(alice, room.room_id), what="the event")
    event_id = room.id_of(after)
    target = f"/_matrix/federation/v1/state/{quote(room.room_id)}?event_id={quote(event_id)}"
    assert "for the owner alone" not in peer.request(node, "GET", target).text
    shown = alice.get(f"/rooms/{quote(room.room_id)}/context/{quote(event_id)}")["state"]
    assert {secret, foreign_power}.isdisjoint(event["event_id"] for event in shown)


def test_CVE_2018_16515_state_and_auth_chain(federated):
    """Neither /state nor /event_auth brings in what its sender's server did not sign."""
    node, peer, _ = federated
    alice, room = shared(federated)
    with_third(federated, room)
    lost = room.message(DANA, "lost")
    joins = [room.make(f"@u{number}:peer.test", "m.room.member", {"membership": "join"}, f"@u{number}:peer.test") for number in range(12)]
    lies = hostile(room, {"prev": room.latest})
    state = [*room.state.values(), *joins, *lies[:2]]
    peer.on("POST", "/get_missing_events/", lambda *_: {"events": []})
    peer.on("GET", "/state_ids/", lambda *_: {"pdu_ids": [room.id_of(event) for event in state], "auth_chain_ids": []})
    peer.on("GET", "/state/", lambda *_: {"pdus": state, "auth_chain": []})
    after = room.message(DANA, "after the gap", prev_events=[room.id_of(lost)])
    peer.send(node, after)
    wait_for(lambda: "after the gap" in bodies(alice, room.room_id), what="the event")
    assert peer.asked("/state/")
    members = alice.get(f"/rooms/{room.room_id}/joined_members")["joined"]
    assert {join["sender"] for join in joins} <= set(members)
    alice.get(f"/rooms/{room.room_id}/state/m.room.topic", expect=404)
    # An event on whose behalf the node asks for an auth chain in which Theo gives Dana power.
    power = room.make(THEO, "m.room.power_levels", {"users": {DANA: 100}}, "")
    auth = [room.id_of(room.state["m.room.create", ""]), room.id_of(room.state["m.room.member", DANA]), room.id_of(power)]
    peer.on("GET", "/event_auth/", lambda *_: {"auth_chain": [*room.state.values(), power]})
    peer.events[room.id_of(power)] = power
    room.latest = [room.id_of(after)]
    topic = room.make(DANA, "m.room.topic", {"topic": "forged"}, "", auth_events=auth)
    peer.send(node, topic)
    wait_for(lambda: peer.asked("/event_auth/"), what="the question for the auth chain")
    room.say(node, DANA, "later")
    assert "later" in bodies(alice, room.room_id)
    alice.get(f"/rooms/{room.room_id}/state/m.room.topic", expect=404)


def test_CVE_2026_45076_rejected_events_between_pages(federated):
    """Two hundred rejected events are no end of history."""
    node, peer, _ = federated
    alice, room = shared(federated)
    room.say(node, DANA, "oldest")
    for start in range(0, 200, 50):
        # Each stands on the one before; they are rejected, for Dana may not set a topic.
        peer.send(node, *[room.add(room.make(DANA, "m.room.topic", {"topic": f"no {number}"}, "")) for number in range(start, start + 50)])
        room.state.pop(("m.room.topic", ""))
    room.say(node, DANA, "newest")
    said, token = [], None
    for _ in range(30):
        page = alice.messages(room.room_id, dir="b", limit=10, **({"from": token} if token else {}))
        said += [event["content"].get("body") for event in page["chunk"] if event["type"] == "m.room.message"]
        token = page.get("end")
        if not token:
            break
    assert said == ["newest", "oldest"]
    alice.send(room.room_id, "goes on")


# Creators (version 12)

def test_event_auth_creators_over_federation(federated):
    """A creator is above all levels and in no list of them; and only who made the room enters it first."""
    node, peer, third = federated
    alice, room = shared(federated, "12", power_level_content_override={"users": {DANA: 100}})
    given = room.state["m.room.power_levels", ""]["content"]
    listed = room.make(DANA, "m.room.power_levels", {**given, "users": {DANA: 100, alice.user_id: 100}}, "")
    lowered = room.make(DANA, "m.room.power_levels", {**given, "users": {DANA: 100}, "state_default": 100}, "")
    kick = room.make(DANA, "m.room.member", {"membership": "leave"}, alice.user_id)
    peer.send(node, listed, kick)
    assert alice.state(room.room_id, "m.room.power_levels") == given
    assert alice.state(room.room_id, "m.room.member", alice.user_id)["membership"] == "join"
    assert peer.send(node, lowered)[room.id_of(lowered)] == {}
    assert alice.state(room.room_id, "m.room.power_levels")["state_default"] == 100
    alice.set_state(room.room_id, "m.room.power_levels", given)


@pytest.mark.parametrize("more", ["@eve:peer.test", [5], ["eve"], [None], [["@eve:peer.test"]], {"@eve:peer.test": 100}])
def test_event_auth_creators_malformed(federated, more):
    """A room whose create event lists creators in another way than as user ids is none."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    peer.handlers.clear()
    room = PeerRoom.create(peer, DANA, "12", additional_creators=more)
    peer.host(room)
    response = alice.request("POST", f"/join/{quote(room.room_id)}", json={}, params={"via": "peer.test", "server_name": "peer.test"})
    assert response.status_code >= 400
    assert room.room_id not in alice.sync()["rooms"].get("join", {})


def test_event_auth_creators_first_join(federated):
    """The join that stands on the create event alone is for the one who sent that."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    peer.handlers.clear()
    room = PeerRoom.create(peer, DANA, "12", additional_creators=[EVE])
    create = [room.id_of(room.state["m.room.create", ""])]
    eve = room.make(EVE, "m.room.member", {"membership": "join"}, EVE, prev_events=create, auth_events=[], depth=2)
    peer.host(room, state=[*room.state.values(), eve])
    alice.join(room.room_id, via=["peer.test"])
    assert EVE not in alice.get(f"/rooms/{room.room_id}/joined_members")["joined"]
    late = room.message(EVE, "never joined", auth_events=[room.id_of(room.state["m.room.power_levels", ""]), room.id_of(eve)])
    peer.send(node, late)
    assert bodies(alice, room.room_id) == []


def test_redacted_names_are_not_found(federated):
    """class redaction-leak: the directory of users shows no name that was taken out of the room."""
    node, peer, _ = federated
    alice, room = shared(federated)
    name = f"Rude {time.monotonic_ns()}"

    def found():
        return alice.post("/user_directory/search", {"search_term": name})["results"]

    event_id = room.send(node, DANA, "m.room.member", {"membership": "join", "displayname": name}, DANA)
    assert [each["display_name"] for each in wait_for(found, what="the name")] == [name]
    alice.put(f"/rooms/{room.room_id}/redact/{quote(event_id)}/1", {})
    assert found() == []


def test_profile_with_nulls(federated):
    """Null is how some servers say that nothing is set."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    peer.on("GET", "/query/profile", lambda match, content, query: {"displayname": None, "avatar_url": None, "org.example": None})
    assert alice.get(f"/profile/{DANA}") == {"org.example": None}
    alice.get(f"/profile/{DANA}/displayname", expect=(404, "M_NOT_FOUND"))


def test_members_where_branches_have_not_met(federated):
    """With the token of the newest sync one sees who is in the room, on whichever branch he came."""
    node, _, _ = federated
    alice, room = shared(federated)
    before = list(room.latest)
    bert = node.new_user("bert")
    bert.join(room.room_id)
    room.send(node, EVE, "m.room.member", {"membership": "join"}, EVE, prev_events=before)
    token = alice.sync()["next_batch"]
    members = {event["state_key"] for event in alice.get(f"/rooms/{room.room_id}/members?at={token}")["chunk"]}
    assert members == {alice.user_id, bert.user_id, DANA, EVE}


def test_redaction_by_send_in_version_10(federated):
    """Client-server API, "PUT /rooms/{roomId}/send": what is redacted stands where the room's version has it."""
    node, peer, _ = federated
    alice, room = shared(federated, "10")
    target = alice.send(room.room_id, "oops")
    event_id = alice.send(room.room_id, {"redacts": target, "reason": "typo"}, "m.room.redaction")
    sent = wait_for(lambda: [pdu for pdu in peer.pdus() if room.id_of(pdu) == event_id], what="the redaction")[0]
    assert sent["redacts"] == target and sent["content"] == {"reason": "typo"}
