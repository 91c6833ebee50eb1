"""Events that a hostile server sends."""

import concurrent.futures
import time

import pytest

import fedevents
from fedpeer import PeerRoom, SigningKey, now
from machine import wait_for

pytestmark = pytest.mark.peers

DANA, EVE, THEO = "@dana:peer.test", "@eve:peer.test", "@theo:third.test"


def bodies(user, room_id):
    return [event["content"].get("body") for event in user.messages(room_id, dir="b", limit=100)["chunk"]
            if event["type"] == "m.room.message"]


def shared(federated, version="11", **more):
    """(user of the node, room as the peer sees it)"""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room_id = alice.create_room(preset="public_chat", room_version=version, **more)
    return alice, PeerRoom.join(peer, node, room_id, DANA)


def by_third(federated, alice, room_id):
    """The room as the third server sees it, with a member of its own."""
    node, _, third = federated
    return PeerRoom.join(third, node, room_id, THEO)


def assert_refused(result, room, event):
    assert "error" in result[room.id_of(event)], result


def test_CVE_2018_16515_other_servers_name(federated):
    """An event in another server's name, signed by the sender of the transaction only, comes in on no path."""
    node, peer, third = federated
    alice, room = shared(federated)
    by_third(federated, alice, room.room_id)
    room.state.update(PeerRoom.join(peer, node, room.room_id, EVE).state)
    forged = room.message(THEO, "forged")
    unsigned = fedevents.without(room.message(DANA, "unsigned"), "signatures") | {"signatures": {}}
    other_key = fedevents.seal("11", room.message(DANA, "other key"), peer.name, SigningKey())
    result = peer.send(node, forged, unsigned, other_key)
    for event in (forged, unsigned, other_key):
        assert_refused(result, room, event)

    # As an ancestor that the node fetches.
    child = room.message(DANA, "child", prev_events=[room.id_of(forged)])
    peer.on("POST", "/get_missing_events/", lambda *_: {"events": [forged]})
    peer.on("GET", "/state_ids/", lambda *_: {"pdu_ids": [room.id_of(each) for each in room.state.values()], "auth_chain_ids": []})
    peer.events[room.id_of(forged)] = forged
    peer.send(node, child)
    wait_for(lambda: "child" in bodies(alice, room.room_id), what="the child")
    peer.on("GET", "/backfill/", lambda *_: {"pdus": [forged]})
    assert "forged" not in bodies(alice, room.room_id)
    assert not {"unsigned", "other key"} & set(bodies(alice, room.room_id))


@pytest.mark.parametrize("version", ["11", "12"])
def test_fed_poison_event_in_a_transaction(federated, version):
    node, peer, _ = federated
    alice, room = shared(federated, version)
    first = room.add(room.message(DANA, "first"))
    good = room.message(DANA, "changed")
    tampered = {**good, "content": {"msgtype": "m.text", "body": "tampered"}}
    many = {f"server{number}.test": {"ed25519:a": "x"} for number in range(10000)}
    poison = [
        "a string", None, 5, [], {},
        fedevents.without(room.message(DANA, "no type"), "type"),
        {**room.message(DANA, "no signatures"), "signatures": None},
        {**room.message(DANA, "too many signatures"), "signatures": many},
        {**room.message(DANA, "hashes"), "hashes": "none"},
        tampered,
        room.message(DANA, "elsewhere", room_id="!nowhere:peer.test"),
        room.message(DANA, "float", depth=1.5),
    ]
    last = room.add(room.message(DANA, "last"))
    result = peer.send(node, first, *poison, last)
    assert result[room.id_of(first)] == {} and result[room.id_of(last)] == {}
    said = bodies(alice, room.room_id)
    assert said[0] == "last" and "first" in said
    # A wrong hash: the event stands, without its content.
    assert "tampered" not in said and None in said
    assert alice.event(room.room_id, room.id_of(good))["content"] == {}


def test_fed_poison_event_in_a_join(federated):
    node, peer, _ = federated
    alice = node.new_user("alice")
    room = PeerRoom.create(peer, DANA)
    name = room.add(room.make(DANA, "m.room.name", {"name": "Good"}, ""))
    bad_name = {**name, "type": "m.room.topic", "content": {"topic": "bad hash"}}
    state = list(room.state.values())
    poison = ["a string", None, {}, fedevents.without(name, "type"), {**name, "signatures": None}, bad_name,
              {**name, "signatures": {f"s{number}": {"ed25519:a": "x"} for number in range(10000)}}]
    peer.host(room, state=poison[:4] + state + poison[4:], auth_chain=poison + state)
    alice.join(room.room_id, via=["peer.test"])
    assert alice.state(room.room_id, "m.room.name")["name"] == "Good"
    room.say(node, DANA, "welcome")
    assert bodies(alice, room.room_id) == ["welcome"]


def test_answers_are_forgotten_after_two_days(federated):
    node, peer, _ = federated
    alice, room = shared(federated)
    hours = 3600 * 1000
    peer.send(node, room.message(DANA, "a while ago"))
    node.sql(f"UPDATE inbound_transaction SET ts = ts - {47 * hours}")
    peer.send(node, room.message(DANA, "yesterday"))
    kept = int(node.sql("SELECT count(*) FROM inbound_transaction"))
    assert kept >= 2
    node.sql(f"UPDATE inbound_transaction SET ts = ts - {2 * hours}")
    for number in range(kept // 10 + 1):
        peer.send(node, room.message(DANA, str(number)))
    old = (now() - 48 * hours, now() - 24 * hours)
    assert int(node.sql(f"SELECT count(*) FROM inbound_transaction WHERE ts < {old[0]}")) == 0
    assert int(node.sql(f"SELECT count(*) FROM inbound_transaction WHERE ts > {old[1]}")) == kept // 10 + 2


def test_fed_dos_limits(federated):
    node, peer, third = federated
    alice, room = shared(federated)
    typing = {"edu_type": "m.typing", "content": {}}
    peer.send(node, *[room.message(DANA, str(number)) for number in range(51)], expect=400)
    peer.send(node, edus=[typing] * 101, expect=400)
    peer.send(node, edus=[typing] * 100)
    ids = ["$" + "a" * 42 + letter for letter in "ABCDEFGHIJKLMNOPQRSTU"]
    for changes in ({"prev_events": ids}, {"auth_events": ids[:11]}):
        event = room.message(DANA, "too many", **changes)
        assert peer.send(node, event) == {}
    auth = room.message(DANA, "x")["auth_events"]
    twice = room.message(DANA, "auth events twice", auth_events=auth + auth[:1])
    peer.send(node, twice)
    assert bodies(alice, room.room_id) == []


def test_fed_dos_many_transactions(federated):
    """Two hundred transactions at once are queued or put off, and the others are served meanwhile."""
    node, peer, third = federated
    alice, room = shared(federated)
    other = by_third(federated, alice, room.room_id)
    events = [room.message(DANA, f"flood {number}") for number in range(200)]

    def send(event):
        content = {"origin": peer.name, "origin_server_ts": now(), "pdus": [event]}
        return peer.request(node, "PUT", f"/_matrix/federation/v1/send/{room.id_of(event)[1:]}", content).status_code

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        flood = [pool.submit(send, event) for event in events]
        began = time.monotonic()
        other.say(node, THEO, "calm")
        took = time.monotonic() - began
        statuses = {future.result() for future in flood}
    assert statuses <= {200, 429} and took < 10
    assert "calm" in bodies(alice, room.room_id)


@pytest.mark.parametrize("value", [2**53, 2**63 - 1, -2**53, 1.5, "5", None, True, -1])
def test_json_integers_CVE_2025_30355(federated, value):
    """A number that others may not be able to read is refused alone, and goes no further."""
    node, peer, third = federated
    alice, room = shared(federated)
    other = by_third(federated, alice, room.room_id)
    room.latest = other.latest
    room.state.update(other.state)
    bad = fedevents.without(room.message(DANA, "bad"), "depth") | {"depth": value}
    bad = fedevents.seal("11", bad, peer.name, peer.key)
    good = room.message(DANA, "good")
    result = peer.send(node, bad, good)
    assert result[room.id_of(good)] == {}
    in_content = room.make(DANA, "m.room.message", {"msgtype": "m.text", "body": "number", "n": value})
    if value not in (-1, "5", None, True):
        peer.send(node, in_content)
    assert bodies(alice, room.room_id) == ["good"]
    event_id = alice.send(room.room_id, "still here")
    wait_for(lambda: any(other.id_of(pdu) == event_id for pdu in third.pdus()), what="a message at the third server")


def test_json_integers_greatest_depth(federated):
    """Depth 2^53-1 may be; what comes after it has no greater one."""
    node, peer, _ = federated
    alice, room = shared(federated)
    room.send(node, DANA, "m.room.message", {"msgtype": "m.text", "body": "deepest"}, depth=2**53 - 1)
    event_id = alice.send(room.room_id, "after")
    sent = wait_for(lambda: [pdu for pdu in peer.pdus() if room.id_of(pdu) == event_id], what="the event")[0]
    assert sent["depth"] == 2**53 - 1
    room.add(sent)
    room.send(node, DANA, "m.room.message", {"msgtype": "m.text", "body": "and on"}, depth=2**53 - 1)
    assert bodies(alice, room.room_id) == ["and on", "after", "deepest"]


def test_event_size(federated):
    node, peer, _ = federated
    alice, room = shared(federated)
    empty = len(fedevents.canonical(room.message(DANA, "")))
    fits = room.message(DANA, "x" * (65536 - empty))
    too_large = room.message(DANA, "x" * (65537 - empty))
    assert len(fedevents.canonical(fits)) == 65536
    result = peer.send(node, fits, too_large)
    assert result == {room.id_of(fits): {}}
    long_type = room.make(DANA, "t" * 256, {})
    long_bytes = room.make(DANA, "😀" * 64, {})
    ok = room.make(DANA, "t" * 255, {})
    assert peer.send(node, long_type, long_bytes, ok) == {room.id_of(ok): {}}


def test_acl_indirect(federated):
    """A server that is shut out is so on every path, and through others too."""
    node, peer, third = federated
    alice, room = shared(federated)
    other = by_third(federated, alice, room.room_id)
    room.state.update(other.state)
    room.latest = other.latest
    late = room.message(DANA, "relayed")
    acl = alice.set_state(room.room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["peer.test"]})["event_id"]
    result = peer.send(node, room.message(DANA, "direct"))
    assert all("error" in each for each in result.values()) and result
    assert_refused(third.send(node, late), room, late)
    assert bodies(alice, room.room_id) == []
    rid, event = room.room_id, acl
    for path in (f"make_join/{rid}/{EVE}?ver=11", f"make_leave/{rid}/{DANA}", f"make_knock/{rid}/{EVE}?ver=11",
                 f"backfill/{rid}?v={event}&limit=5", f"state/{rid}?event_id={event}", f"state_ids/{rid}?event_id={event}",
                 f"event_auth/{rid}/{event}", f"event/{event}", f"timestamp_to_event/{rid}?ts=1&dir=f"):
        assert peer.get(node, f"/_matrix/federation/v1/{path}", expect=403)["errcode"] == "M_FORBIDDEN", path
    peer.post(node, f"/_matrix/federation/v1/get_missing_events/{rid}",
              {"earliest_events": [], "latest_events": [event]}, expect=403)
    leave = room.make(DANA, "m.room.member", {"membership": "leave"}, DANA)
    for name in ("send_join", "send_leave"):
        peer.put(node, f"/_matrix/federation/v2/{name}/{rid}/{room.id_of(leave)}", leave, expect=403)
    peer.put(node, f"/_matrix/federation/v1/send_knock/{rid}/{room.id_of(leave)}", leave, expect=403)
    message = alice.send(rid, "still")
    peer.send(node, edus=[{"edu_type": "m.typing", "content": {"room_id": rid, "user_id": DANA, "typing": True}},
                          {"edu_type": "m.receipt", "content": {rid: {"m.read": {DANA: {"data": {"ts": 1},
                                                                                          "event_ids": [message]}}}}}])
    ephemeral = alice.sync()["rooms"]["join"][rid]["ephemeral"]["events"]
    assert DANA not in str(ephemeral)


def test_soft_fail_bypass(federated):
    """Who was banned does not get in by building on what was before the ban."""
    node, peer, third = federated
    alice, room = shared(federated)
    by_third(federated, alice, room.room_id)
    alice.post(f"/rooms/{room.room_id}/ban", {"user_id": DANA})
    since = alice.sync()["next_batch"]
    hidden = room.message(DANA, "hidden")
    assert peer.send(node, hidden) == {room.id_of(hidden): {}}
    on_top = room.message(DANA, "on top", prev_events=[room.id_of(hidden)])
    peer.send(node, on_top)
    assert bodies(alice, room.room_id) == []
    event_id = alice.send(room.room_id, "next")
    sent = wait_for(lambda: [pdu for pdu in third.pdus() if room.id_of(pdu) == event_id], what="the event")[0]
    assert not {room.id_of(hidden), room.id_of(on_top)} & set(sent["prev_events"])
    assert "hidden" not in str(alice.sync(since))
    assert room.id_of(hidden) not in [room.id_of(pdu) for pdu in third.pdus()]


def test_event_auth_cross_room(federated):
    """What makes somebody powerful in one room does nothing in another."""
    node, peer, _ = federated
    alice, room = shared(federated)
    own = PeerRoom.create(peer, DANA)
    peer.host(own)
    alice.join(own.room_id, via=["peer.test"])
    auth = [own.id_of(own.state[key]) for key in (("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", DANA))]
    mine = room.auth_for(DANA, "m.room.member", {"membership": "ban"}, alice.user_id)
    for events in (auth, auth + mine, [mine[0], auth[1], auth[2]]):
        ban = room.make(DANA, "m.room.member", {"membership": "ban"}, alice.user_id, auth_events=events[:10])
        peer.send(node, ban)
        time.sleep(0.2)
        assert alice.state(room.room_id, "m.room.member", alice.user_id)["membership"] == "join"


@pytest.mark.parametrize("version", ["10", "11", "12"])
@pytest.mark.parametrize("level", ["100", 100.9, True, None, [], 2**53])
def test_event_auth_types(federated, version, level):
    """A power level is an integer, or the event is none."""
    node, peer, _ = federated
    alice, room = shared(federated, version, power_level_content_override={"users": {}} if version == "12" else None or {})
    levels = dict(room.state["m.room.power_levels", ""]["content"])
    alice.set_state(room.room_id, "m.room.power_levels", {**levels, "users": {**levels.get("users", {}), DANA: 100}})
    given = wait_for(lambda: [pdu for pdu in peer.pdus() if pdu["type"] == "m.room.power_levels"
                              and pdu["room_id"] == room.room_id], what="the power levels")[-1]
    room.add(given)
    for content in ({**given["content"], "users": {**given["content"]["users"], EVE: level}},
                    {**given["content"], "state_default": level}):
        event = room.make(DANA, "m.room.power_levels", content, "")
        peer.send(node, event)
    now_levels = alice.state(room.room_id, "m.room.power_levels")
    assert now_levels == given["content"]
    # As a control: what is right passes.
    room.send(node, DANA, "m.room.power_levels", {**given["content"], "state_default": 60}, "")
    assert alice.state(room.room_id, "m.room.power_levels")["state_default"] == 60


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_CVE_2022_31152_rules(federated, version):
    """Events that the rules forbid, one by one; and one that they allow, with the same auth events."""
    node, peer, _ = federated
    alice, room = shared(federated, version)
    member = room.state["m.room.member", DANA]
    auth = room.auth_for(DANA, "m.room.message", {}, None)
    other_member = room.id_of(room.state["m.room.member", alice.user_id])
    forbidden = [
        room.make(DANA, "m.room.create", {"room_version": version, "creator": DANA}, ""),                    # 1
        room.message(DANA, "twice", auth_events=[*auth, auth[0]]),                                           # 2.1
        room.message(DANA, "surplus", auth_events=[*auth, other_member]),                                    # 2.2
        room.message(DANA, "without membership", auth_events=[each for each in auth if each != room.id_of(member)]),
        room.make(DANA, "m.room.member", {}, DANA),                                                          # no membership
        room.make(DANA, "m.room.member", {"membership": "join"}, EVE),                                       # for another
        room.make(DANA, "m.room.member", {"membership": "dance"}, DANA),
        room.make(DANA, "m.room.member", {"membership": "ban"}, alice.user_id),                              # no power
        room.make(DANA, "m.room.member", {"membership": "leave"}, alice.user_id),
        room.make(EVE, "m.room.message", {"body": "not in the room"}),                                       # not joined
        room.make(DANA, "m.room.topic", {"topic": "no power"}, ""),
        room.make(DANA, "m.test", {}, "@eve:peer.test"),                                                     # another's state key
        room.make(DANA, "m.room.power_levels", {"users": {DANA: 100}}, ""),
    ]
    for event in forbidden:
        peer.send(node, event)
    control = room.message(DANA, "control", auth_events=auth)
    assert peer.send(node, control) == {room.id_of(control): {}}
    assert bodies(alice, room.room_id) == ["control"]
    state = {(event["type"], event["state_key"]): event["content"] for event in alice.get(f"/rooms/{room.room_id}/state")}
    for event in forbidden:
        if "state_key" in event:
            assert state.get((event["type"], event["state_key"])) != event["content"], event


def test_CVE_2022_39374_rejected_events_stay_rejected(federated):
    """What was rejected once is not brought back by a state answer, and an outlier is no parent."""
    node, peer, _ = federated
    alice, room = shared(federated)
    size = len(alice.get(f"/rooms/{room.room_id}/state"))
    rejected = room.make(DANA, "m.room.topic", {"topic": "rejected"}, "")
    assert peer.send(node, rejected) == {room.id_of(rejected): {}}
    unknown = room.message(DANA, "unknown")  # never given
    state = [room.id_of(event) for event in room.state.values()] + [room.id_of(rejected)]
    child = room.message(DANA, "child", prev_events=[room.id_of(unknown)])
    peer.on("POST", "/get_missing_events/", lambda *_: {"events": []})
    peer.on("GET", "/state_ids/", lambda *_: {"pdu_ids": state, "auth_chain_ids": []})
    peer.events[room.id_of(rejected)] = rejected
    assert peer.send(node, child) == {room.id_of(child): {}}
    wait_for(lambda: "child" in bodies(alice, room.room_id), what="the child")
    assert len(alice.get(f"/rooms/{room.room_id}/state")) == size
    alice.get(f"/rooms/{room.room_id}/state/m.room.topic", expect=404)
    alice.send(room.room_id, "goes on")


def test_CVE_2024_6301_edu_origin(federated):
    """EDUs speak for users of their own server only, entry by entry."""
    node, peer, third = federated
    alice, room = shared(federated)
    by_third(federated, alice, room.room_id)
    message = alice.send(room.room_id, "read me")
    receipt = {"data": {"ts": now()}, "event_ids": [message]}
    peer.send(node, edus=[
        {"edu_type": "m.typing", "content": {"room_id": room.room_id, "user_id": THEO, "typing": True}},
        {"edu_type": "m.typing", "content": {"room_id": room.room_id, "user_id": DANA, "typing": True}},
        {"edu_type": "m.typing", "content": {"room_id": room.room_id, "user_id": EVE, "typing": True}},
        {"edu_type": "m.receipt", "content": {room.room_id: {"m.read": {THEO: receipt, alice.user_id: receipt, DANA: receipt}},
                                              "!nowhere:x": {"m.read": {DANA: receipt}}, "bad": 5}},
        {"edu_type": "m.presence", "content": {"push": [
            {"user_id": THEO, "presence": "online"}, {"user_id": alice.user_id, "presence": "unavailable"},
            {"user_id": DANA, "presence": "online"}, 5, {"user_id": DANA}]}},
        {"edu_type": "m.typing"}, {"edu_type": "m.receipt", "content": []}, {"edu_type": "m.presence", "content": {"push": {}}},
        {"edu_type": 5, "content": {}}, "no object", None, {"edu_type": "m.unheard_of", "content": {}},
    ])
    ephemeral = alice.sync()["rooms"]["join"][room.room_id]["ephemeral"]["events"]
    typing = [event["content"]["user_ids"] for event in ephemeral if event["type"] == "m.typing"]
    readers = [set(users["m.read"]) for event in ephemeral if event["type"] == "m.receipt"
               for users in event["content"].values()]
    assert typing == [[DANA]] and set().union(*readers) == {DANA}
    assert alice.get(f"/presence/{DANA}/status")["presence"] == "online"
    assert alice.get(f"/presence/{alice.user_id}/status")["presence"] != "unavailable"
