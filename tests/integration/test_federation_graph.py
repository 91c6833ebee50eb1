"""Gaps in the graph, and servers that make them; who may ask for what of it."""

import time

import pytest

from fedpeer import Peer, PeerRoom, introduce, now, quote
from machine import wait_for
from node import resolve_each_other

pytestmark = pytest.mark.peers

DANA, EVE, THEO = "@dana:peer.test", "@eve:peer.test", "@theo:third.test"


def bodies(user, room_id):
    return [event["content"].get("body") for event in user.messages(room_id, dir="b", limit=100)["chunk"]
            if event["type"] == "m.room.message"]


def shared(federated, version="11", **more):
    node, peer, _ = federated
    alice = node.new_user("alice")
    room_id = alice.create_room(preset="public_chat", room_version=version, **more)
    peer.handlers.clear()
    room = PeerRoom.join(peer, node, room_id, DANA)
    peer.requests.clear()
    return alice, room


def serve_graph(peer, room):
    """Answers questions about the room, which must have no forks from now on, as a good server does."""
    before = dict(room.state)

    def missing(match, content, query):
        found, level = [], list(content["latest_events"])
        while level and len(found) < content["limit"]:
            level = [prev for event_id in level for prev in room.all.get(event_id, {}).get("prev_events", [])
                     if prev not in content["earliest_events"] and prev in room.all]
            found += [room.all[event_id] for event_id in level]
        return {"events": found[: content["limit"]][::-1]}

    def state_at(event_id):
        chain, event = [], room.all[event_id]
        while event and event["prev_events"]:
            event = room.all.get(event["prev_events"][0])
            chain.append(event)
        state = dict(before)
        state.update({(each["type"], each["state_key"]): each for each in reversed(chain) if each and "state_key" in each})
        return list(state.values())

    def state_ids(match, content, query):
        state = state_at(query["event_id"][0])
        return {"pdu_ids": [room.id_of(each) for each in state],
                "auth_chain_ids": [room.id_of(each) for each in room.auth_chain(state)]}

    def state(match, content, query):
        state = state_at(query["event_id"][0])
        return {"pdus": state, "auth_chain": room.auth_chain(state)}

    peer.on("POST", "/get_missing_events/", missing)
    peer.on("GET", "/state_ids/", state_ids)
    peer.on("GET", "/state/", state)


def wait_until_calm(peer, seconds=60):
    """Until the peer was asked nothing for two seconds."""
    last = [0, time.monotonic()]

    def calm():
        if len(peer.requests) != last[0]:
            last[:] = [len(peer.requests), time.monotonic()]
        return time.monotonic() - last[1] > 2

    wait_for(calm, seconds, what="an end of questions")


@pytest.mark.parametrize("version", ["11", "12"])
def test_small_gap_is_filled(federated, version):
    node, peer, _ = federated
    alice, room = shared(federated, version)
    serve_graph(peer, room)
    for number in range(20):
        room.add(room.message(DANA, f"missed {number}"))
    last = room.add(room.message(DANA, "last"))
    assert peer.send(node, last) == {room.id_of(last): {}}
    expected = ["last"] + [f"missed {number}" for number in reversed(range(20))]
    wait_for(lambda: bodies(alice, room.room_id) == expected, what="all that was missed, in order")
    alice.send(room.room_id, "goes on")
    assert not peer.asked("/state")


@pytest.mark.parametrize("version", ["11", "12"])
def test_large_gap_is_jumped(federated, version):
    """More than can be fetched: the state before the oldest of what was is, with all that happened in between."""
    node, peer, _ = federated
    alice, room = shared(federated, version)
    serve_graph(peer, room)
    for number in range(300):
        room.add(room.message(DANA, f"missed {number}"))
    room.add(room.make(EVE, "m.room.member", {"membership": "join"}, EVE))
    for number in range(300, 600):
        room.add(room.message(EVE, f"missed {number}"))
    last = room.add(room.message(EVE, "last"))
    assert peer.send(node, last) == {room.id_of(last): {}}
    wait_for(lambda: "last" in bodies(alice, room.room_id), 30, what="the last message")
    assert EVE in alice.get(f"/rooms/{room.room_id}/joined_members")["joined"]
    assert len(peer.requests) < 40


@pytest.mark.parametrize("version", ["11", "12"])
def test_gap_is_jumped_by_the_event_before_it(federated, version):
    """A server that does not tell the state at what it gave may tell that at the event before."""
    node, peer, _ = federated
    alice, room = shared(federated, version)
    room.add(room.message(DANA, "never asked for"))
    start = {room.id_of(event) for event in room.state.values()}
    lost = room.add(room.make(EVE, "m.room.member", {"membership": "join"}, EVE))
    given = room.add(room.message(EVE, "given"))
    last = room.add(room.message(DANA, "last"))

    def missing(match, content, query):
        return {"events": [given]} if room.id_of(last) in content["latest_events"] else (404, {"errcode": "M_NOT_FOUND", "error": ""})

    def state_ids(match, content, query):
        if query["event_id"] != [room.id_of(lost)]:
            return 404, {"errcode": "M_NOT_FOUND", "error": "not that one"}
        return {"pdu_ids": sorted(start), "auth_chain_ids": []}

    peer.on("POST", "/get_missing_events/", missing)
    peer.on("GET", "/state_ids/", state_ids)
    assert peer.send(node, last) == {room.id_of(last): {}}
    wait_for(lambda: bodies(alice, room.room_id) == ["last", "given"], what="both messages")
    assert EVE in alice.get(f"/rooms/{room.room_id}/joined_members")["joined"]
    # The event before the gap is known, yet stands outside of the graph.
    peer.get(node, f"/_matrix/federation/v1/state_ids/{quote(room.room_id)}?event_id={quote(room.id_of(lost))}", expect=404)
    alice.event(room.room_id, room.id_of(lost), expect=404)


def test_soft_fail_bypass_through_a_gap(federated):
    """Who was banned does not come back by a gap before which, as his server says, he was not."""
    node, peer, _ = federated
    alice, room = shared(federated)
    PeerRoom.join(federated[2], node, room.room_id, THEO)
    alice.post(f"/rooms/{room.room_id}/ban", {"user_id": DANA})
    serve_graph(peer, room)
    room.add(room.message(DANA, "never given"))
    hidden = room.add(room.message(DANA, "hidden"))
    peer.on("POST", "/get_missing_events/", lambda *_: {"events": []})
    assert peer.send(node, hidden) == {room.id_of(hidden): {}}
    wait_for(lambda: node.sql(f"SELECT 1 FROM event WHERE event_id = '{room.id_of(hidden)}'"), what="the event")
    alice.send(room.room_id, "next")
    assert bodies(alice, room.room_id) == ["next"]
    assert alice.state(room.room_id, "m.room.member", DANA)["membership"] == "ban"


def test_room_goes_on_while_a_gap_waits(federated):
    """A server that is slow to tell of its past holds up neither its own transactions nor anybody else's."""
    node, peer, third = federated
    alice, room = shared(federated)
    other = PeerRoom.join(third, node, room.room_id, THEO)
    room.state.update(other.state)

    def slow(match, content, query):
        time.sleep(8)
        return {"events": []}

    peer.on("POST", "/get_missing_events/", slow)
    gap = room.message(DANA, "gap", prev_events=["$" + "a" * 43])
    began = time.monotonic()
    assert peer.send(node, gap) == {room.id_of(gap): {}}
    other.say(node, THEO, "meanwhile")
    room.say(node, DANA, "from the same server")
    assert time.monotonic() - began < 5
    assert {"meanwhile", "from the same server"} <= set(bodies(alice, room.room_id))


@pytest.fixture
def own_federated(authority, make_node):
    """A node and a peer for one test alone."""
    peer = Peer("peer.test", authority).start()
    node = make_node("acme.localhost", tls=authority.issue("acme.localhost"), ca=authority.ca)
    resolve_each_other([node, peer])
    node.start()
    introduce(node, peer)
    yield node, peer
    peer.stop()


def test_acknowledged_event_survives_a_crash(own_federated):
    """What was answered with 200 is there after kill -9, though its ancestors had still to be fetched."""
    node, peer = own_federated
    alice = node.new_user("alice")
    room = PeerRoom.join(peer, node, alice.create_room(preset="public_chat"), DANA)
    missed = room.add(room.message(DANA, "missed"))
    last = room.add(room.message(DANA, "last"))

    def never(match, content, query):
        time.sleep(15)
        return {"events": []}

    peer.on("POST", "/get_missing_events/", never)
    assert peer.send(node, last) == {room.id_of(last): {}}
    node.kill9()
    peer.handlers.clear()
    peer.on("POST", "/get_missing_events/", lambda *_: {"events": [missed]})
    node.start()
    wait_for(lambda: bodies(alice, room.room_id) == ["last", "missed"], 20, what="both messages")


@pytest.mark.slow
def test_acknowledged_event_comes_after_a_fault_of_the_database(own_federated):
    """Nothing else happens in the room: the node looks again by itself."""
    node, peer = own_federated
    alice = node.new_user("alice")
    room = PeerRoom.join(peer, node, alice.create_room(preset="public_chat"), DANA)
    missed = room.add(room.message(DANA, "missed"))
    last = room.add(room.message(DANA, "last"))

    def fault(match, content, query):
        if 'relation \\"event\\" does not exist' not in node.log_text():
            node.sql("ALTER TABLE event RENAME TO event_out_of_reach")
        return {"events": [missed]}

    peer.on("POST", "/get_missing_events/", fault)
    assert peer.send(node, last) == {room.id_of(last): {}}
    wait_for(lambda: 'relation \\"event\\" does not exist' in node.log_text(), what="the fault")
    time.sleep(1)
    assert node.sql("SELECT count (*) FROM inbound_event") == "1\n"
    node.sql("ALTER TABLE event_out_of_reach RENAME TO event")
    wait_for(lambda: bodies(alice, room.room_id) == ["last", "missed"], 30, what="both messages")
    wait_for(lambda: node.sql("SELECT count (*) FROM inbound_event") == "0\n", what="nothing left waiting")


def test_fed_dos_missing_events(federated):
    """Parents that are invented anew with each answer are asked for so many times and no more."""
    node, peer, third = federated
    alice, room = shared(federated)
    counter = iter(range(10**6))

    def unknown():
        return "$" + f"{next(counter):043d}"

    def invent(match, content, query):
        return {"events": [room.message(DANA, f"invented {next(counter)}", prev_events=[unknown() for _ in range(20)],
                                        auth_events=[unknown() for _ in range(10)]) for _ in range(50)]}

    peer.on("POST", "/get_missing_events/", invent)
    peer.on("GET", "/state_ids/", lambda *_: {"pdu_ids": [unknown() for _ in range(5)],
                                             "auth_chain_ids": [unknown() for _ in range(5)]})
    peer.on("GET", "/event_auth/", lambda *_: {"auth_chain": []})
    bait = room.message(DANA, "bait", prev_events=[unknown() for _ in range(20)])
    began = time.monotonic()
    peer.send(node, bait)
    wait_until_calm(peer)
    assert len(peer.requests) < 60 and time.monotonic() - began < 60
    assert "invented" not in str(bodies(alice, room.room_id))
    room.say(node, DANA, "goes on")
    assert "goes on" in bodies(alice, room.room_id)


def test_fed_dos_missing_events_over_all(federated):
    """However many baits: a server makes the node ask so many times a minute and no more."""
    node, peer, _ = federated
    alice, room = shared(federated)
    peer.on("POST", "/get_missing_events/", lambda *_: {"events": []})
    peer.on("GET", "/state_ids/", lambda *_: (404, {"errcode": "M_NOT_FOUND", "error": "no"}))
    for start in range(0, 1000, 50):
        peer.send(node, *[room.message(DANA, f"bait {number}", prev_events=["$" + f"{number:043d}"])
                          for number in range(start, start + 50)])
    wait_until_calm(peer, 90)
    assert len(peer.requests) <= 330
    assert alice.send(room.room_id, "goes on")


@pytest.mark.parametrize("version", ["11", "12"])
def test_CVE_2024_31208_layers_of_auth_events(authority, make_node, version):
    """Sixty layers of two events that each cite both below: each is asked for once, and the node is not kept busy."""
    from fedpeer import Peer, introduce
    from node import resolve_each_other
    peer = Peer("peer.test", authority).start()
    node = make_node("acme.localhost", tls=authority.issue("acme.localhost"), ca=authority.ca)
    resolve_each_other([node, peer])
    node.start()
    introduce(node, peer)
    alice = node.new_user("alice")
    room = PeerRoom.join(peer, node, alice.create_room(preset="public_chat", room_version=version), DANA)
    base = room.auth_for(DANA, "m.room.member", {"membership": "join"}, DANA)
    layers, chain, asked = [[]], [], []
    for depth in range(60):
        pair = [room.make(DANA, "m.room.member", {"membership": "join", "displayname": f"{depth} {twin}"}, DANA,
                          auth_events=base[:1] + base[2:] + layers[-1] if depth else base) for twin in range(2)]
        chain += pair
        layers.append([room.id_of(event) for event in pair])
    top = room.message(DANA, "on top", auth_events=room.auth_for(DANA, "m.room.message", {}, None)[:1] + layers[-1])
    events = {room.id_of(event): event for event in chain}

    def one(match, content, query):
        event_id = match[1].replace("%24", "$")
        asked.append(event_id)
        return {"origin": peer.name, "origin_server_ts": now(), "pdus": [events[event_id]]} if event_id in events else (404, {})

    peer.on("GET", "/event_auth/", lambda *_: {"auth_chain": chain})
    peer.on("GET", "/v1/event/(.*)$", one)
    before = int(node.sql("SELECT count(*) FROM event"))
    began = time.monotonic()
    peer.send(node, top)
    room.say(node, DANA, "next")
    wait_for(lambda: "next" in bodies(alice, room.room_id), what="the next message")
    wait_until_calm(peer)
    peer.stop()
    assert time.monotonic() - began < 20
    assert len(asked) == len(set(asked)) and len(peer.asked("/event_auth/")) < 5
    assert int(node.sql("SELECT count(*) FROM event")) - before <= len(chain) + 2


def test_CVE_2022_39335_who_may_ask(federated):
    """An outsider learns nothing, a late server nothing of what was before it came, and outliers are not there."""
    node, peer, third = federated
    alice = node.new_user("alice")
    room_id = alice.create_room(preset="public_chat", room_version="11", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}])
    early = alice.send(room_id, "early secret")
    base = "/_matrix/federation/v1/"

    def targets(room, event):
        rid, eid = quote(room), quote(event)
        return [f"event/{eid}", f"backfill/{rid}?v={eid}&limit=10", f"state/{rid}?event_id={eid}",
                f"state_ids/{rid}?event_id={eid}", f"event_auth/{rid}/{eid}", f"timestamp_to_event/{rid}?ts=1&dir=f"]

    missing = f"{base}get_missing_events/{quote(room_id)}"
    wanted = {"earliest_events": [], "latest_events": [early], "limit": 50}
    for target in targets(room_id, early):
        response = third.request(node, "GET", base + target)
        assert response.status_code in (403, 404) and "secret" not in response.text, target
    assert third.request(node, "POST", missing, wanted).status_code in (403, 404)

    late = PeerRoom.join(third, node, room_id, THEO)
    for target in [*targets(room_id, early), f"backfill/{quote(room_id)}?v={quote(late.latest[0])}&limit=50"]:
        response = third.request(node, "GET", base + target)
        assert "secret" not in response.text, target
        if "state" in target or "event_auth" in target:
            assert response.status_code == 403, target
    for events in ([early], late.latest):
        assert "secret" not in third.request(node, "POST", missing, {**wanted, "latest_events": events}).text
    seen = alice.send(room_id, "seen")
    assert "seen" in third.request(node, "GET", f"{base}event/{quote(seen)}").text
    third.get(node, f"{base}state/{quote(room_id)}?event_id={quote(seen)}")
    # Events of other rooms, and of none.
    elsewhere = alice.send(alice.create_room(preset="public_chat"), "elsewhere")
    assert third.request(node, "GET", f"{base}event/{quote(elsewhere)}").status_code in (403, 404)
    assert third.request(node, "GET", f"{base}state/{quote(room_id)}?event_id={quote(elsewhere)}").status_code in (403, 404)
    third.get(node, f"{base}event/{quote('$' + 'a' * 43)}", expect=404)
    # What came with the node's own join, as state or auth event, has no place in its graph.
    peer.handlers.clear()
    room = PeerRoom.create(peer, DANA)
    eve = room.id_of(room.add(room.make(EVE, "m.room.member", {"membership": "join"}, EVE)))
    peer.host(room)
    alice.join(room.room_id, via=["peer.test"])
    for target in targets(room.room_id, eve):
        if "backfill" not in target and "timestamp" not in target:
            peer.get(node, base + target, expect=404)
    assert peer.get(node, f"{base}backfill/{quote(room.room_id)}?v={quote(eve)}&limit=10")["pdus"] == []


def test_CVE_2023_43796_profiles_of_others(federated):
    """Over federation a server answers for its own users only."""
    node, peer, third = federated
    alice, room = shared(federated)
    PeerRoom.join(third, node, room.room_id, THEO)
    for user in (THEO, DANA, "@nobody:acme.localhost"):
        peer.get(node, f"/_matrix/federation/v1/query/profile?user_id={quote(user)}", expect=404)
    peer.get(node, f"/_matrix/federation/v1/query/profile?user_id={quote(alice.user_id)}")


def test_CVE_2021_39163_hierarchy(federated):
    """A private room is in no hierarchy of another server's."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    space = alice.create_room(preset="public_chat", creation_content={"type": "m.space"}, name="space")
    hidden = alice.create_room(preset="private_chat", name="hidden name")
    alice.set_state(space, "m.space.child", {"via": ["acme.localhost"]}, hidden)
    answer = peer.get(node, f"/_matrix/federation/v1/hierarchy/{quote(space)}")
    assert answer["inaccessible_children"] == [hidden] and "hidden name" not in str(answer)
    peer.get(node, f"/_matrix/federation/v1/hierarchy/{quote(hidden)}", expect=404)
