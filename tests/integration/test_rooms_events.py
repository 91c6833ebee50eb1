"""Sending, redacting, state, and reading events of rooms of one server."""

import concurrent.futures
import json
import time

from client import quote
import pytest


@pytest.fixture
def room(user):
    return user.create_room(preset="public_chat", room_version="11")


def bodies(events):
    return [event["content"].get("body") for event in events if event["type"] == "m.room.message"]


# Sending

def test_send_is_idempotent_by_transaction_id(user, room):
    first = user.send(room, "once", txn="same")
    assert user.send(room, "once", txn="same") == first
    assert bodies(user.messages(room)["chunk"]) == ["once"]


def test_transaction_ids_are_the_devices_and_the_paths_own(user, room):
    first = user.send(room, "a", txn="t")
    assert user.another_device().send(room, "a", txn="t") != first
    assert user.send(room, {"a": 1}, kind="org.example", txn="t") != first
    second = user.create_room()
    assert user.send(second, "a", txn="t") != first


def test_sends_at_once_with_one_transaction_id_make_one_event(user, room):
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        ids = set(pool.map(lambda _: user.twin().send(room, "x", txn="race"), range(10)))
    assert len(ids) == 1
    assert bodies(user.messages(room)["chunk"]) == ["x"]


def test_transaction_id_survives_a_restart(make_node):
    node = make_node("restart.localhost").start()
    user = node.new_user()
    room = user.create_room()
    first = user.send(room, "once", txn="kept")
    node.restart()
    assert user.send(room, "once", txn="kept") == first
    assert bodies(user.messages(room)["chunk"]) == ["once"]


def test_send_outside(user, other, room):
    other.put(f"/rooms/{quote(room)}/send/m.room.message/1", {"body": "x"}, expect=(403, "M_FORBIDDEN"))
    other.put("/rooms/!none:localhost/send/m.room.message/1", {}, expect=(403, "M_FORBIDDEN"))
    other.put("/rooms/nonsense/send/m.room.message/1", {}, expect=(400, "M_INVALID_PARAM"))


@pytest.mark.parametrize("level", ["events_default", "state_default"])
def test_CVE_2022_36009_levels(user, other, level):
    room = user.create_room(preset="public_chat", power_level_content_override={level: 75})
    other.join(room)
    if level == "events_default":
        other.put(f"/rooms/{quote(room)}/send/m.room.message/1", {"body": "x"}, expect=(403, "M_FORBIDDEN"))
    other.set_state(room, "m.room.topic", {"topic": "x"}, expect=(403, "M_FORBIDDEN"))
    user.set_state(room, "m.room.topic", {"topic": "x"})


def test_class_event_size(user, room):
    def content(size):
        return {"body": "x" * size}
    low, high = 60000, 65536
    while high - low > 1:
        middle = (low + high) // 2
        response = user.request("PUT", f"/rooms/{quote(room)}/send/m/{middle}", json=content(middle))
        assert response.status_code in (200, 413), response.text
        low, high = (middle, high) if response.status_code == 200 else (low, middle)
    # What is around the body (ids, hash, signature) takes its share of 65536 bytes.
    assert 64000 < low < 65536
    assert len(user.messages(room, limit=1)["chunk"][0]["content"]["body"]) <= low
    user.put(f"/rooms/{quote(room)}/send/{'t' * 255}/1", {})
    for kind in ("t" * 256, "\U0001F600" * 64):
        response = user.request("PUT", f"/rooms/{quote(room)}/send/{quote(kind)}/1", json={})
        assert response.status_code in (400, 413)
    response = user.request("PUT", f"/rooms/{quote(room)}/state/t/{'k' * 256}", json={})
    assert response.status_code in (400, 413)


@pytest.mark.parametrize("number", ["9007199254740992", "1.5", "1e3", "-9007199254740993", "1e400", "NaN"])
def test_CVE_2020_26890_numbers_in_content(user, room, number):
    response = user.session.put(f"{user.base}/_matrix/client/v3/rooms/{quote(room)}/send/m/{quote(number)}", data='{"n":%s}' % number,
                                headers={"Authorization": f"Bearer {user.token}"})
    assert response.status_code == 400 and response.json()["errcode"] in ("M_BAD_JSON", "M_NOT_JSON")


@pytest.mark.parametrize("body", ["", " ", "null", "5", "[]", '"x"', "{'a':1}", '{"a":1}{}', '{"a":1,"a":2}', '{"a":01}', '{"a":"\\ud800"}',
                                  "[" * 5000, '{"a":' * 5000])
@pytest.mark.parametrize("method, path", [("POST", "/createRoom"), ("PUT", "/rooms/{}/send/m/1"), ("PUT", "/rooms/{}/state/m/k"),
                                          ("POST", "/rooms/{}/invite"), ("POST", "/rooms/{}/kick")])
def test_class_json_leniency_empty_root_nesting(user, room, method, path, body):
    response = user.session.request(method, f"{user.base}/_matrix/client/v3" + path.format(quote(room)), data=body,
                                    headers={"Authorization": f"Bearer {user.token}"})
    assert response.status_code == 400 and response.json()["errcode"] in ("M_NOT_JSON", "M_BAD_JSON")


def test_class_json_nul_survives_in_content(user, room):
    content = {"body": "a\0b", "k\0ey": {"\0": 1}}
    event = user.send(room, content)
    assert user.event(room, event)["content"] == content
    response = user.request("PUT", f"/rooms/{quote(room)}/state/m/a%00b", json={})
    assert response.status_code == 400


def test_class_format_string(user, room):
    text = "%s%n%1000000d%p"
    event = user.send(room, text, kind=text)
    assert user.event(room, event)["type"] == text


# Redactions

def test_redact(user, room):
    event = user.send(room, "secret word")
    redaction = user.put(f"/rooms/{quote(room)}/redact/{quote(event)}/1", {"reason": "why"})["event_id"]
    shown = user.event(room, event)
    assert shown["content"] == {}
    because = shown["unsigned"]["redacted_because"]
    assert because["event_id"] == redaction and because["content"]["reason"] == "why" and because["sender"] == user.user_id
    assert user.put(f"/rooms/{quote(room)}/redact/{quote(event)}/1", {"reason": "why"})["event_id"] == redaction


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_redacts_stands_in_both_places(user, version):
    room = user.create_room(room_version=version)
    event = user.send(room, "x")
    redaction = user.put(f"/rooms/{quote(room)}/redact/{quote(event)}/1")["event_id"]
    shown = user.event(room, redaction)
    assert shown["redacts"] == event and shown["content"]["redacts"] == event


def test_CVE_2024_6300_redacted_text_is_nowhere(user, room):
    word = f"unspeakable{time.monotonic_ns()}"
    event = user.send(room, f"the {word} is out")
    edit = user.send(room, {"body": f"* {word}", "msgtype": "m.text", "m.new_content": {"body": word, "msgtype": "m.text"},
                            "m.relates_to": {"rel_type": "m.replace", "event_id": event}})
    for each in (event, edit):
        user.put(f"/rooms/{quote(room)}/redact/{quote(each)}/{quote(each)}")
    for path in (f"event/{quote(event)}", f"context/{quote(event)}", f"context/{quote(edit)}", "messages?dir=b", "state"):
        assert word not in json.dumps(user.get(f"/rooms/{quote(room)}/{path}")), path


def test_CVE_2024_6302_who_may_redact(user, other, node, room):
    other.join(room)
    mine, theirs = user.send(room, "mine"), other.send(room, "theirs")
    other.put(f"/rooms/{quote(room)}/redact/{quote(mine)}/1", expect=(403, "M_FORBIDDEN"))
    elsewhere = other.create_room()
    other.put(f"/rooms/{quote(elsewhere)}/redact/{quote(mine)}/1", expect=(404, "M_NOT_FOUND"))
    assert user.event(room, mine)["content"]["body"] == "mine"
    other.put(f"/rooms/{quote(room)}/redact/{quote(theirs)}/2")
    user.put(f"/rooms/{quote(room)}/redact/{quote(other.send(room, 'more'))}/1")
    node.new_user().put(f"/rooms/{quote(room)}/redact/{quote(mine)}/1", expect=(403, "M_FORBIDDEN"))


def test_class_redaction_special_targets(user, room):
    def id_of(kind):
        return user.state(room, kind, params={"format": "event"})["event_id"]
    user.set_state(room, "m.room.server_acl", {"allow": ["*"]})
    for kind in ("m.room.create", "m.room.server_acl"):
        user.put(f"/rooms/{quote(room)}/redact/{quote(id_of(kind))}/1", expect=(403, "M_FORBIDDEN"))
    for kind, kept in (("m.room.power_levels", "users"), ("m.room.join_rules", "join_rule")):
        user.put(f"/rooms/{quote(room)}/redact/{quote(id_of(kind))}/1")
        assert kept in user.state(room, kind)
    redaction = user.put(f"/rooms/{quote(room)}/redact/{quote(user.send(room, 'x'))}/2")["event_id"]
    user.put(f"/rooms/{quote(room)}/redact/{quote(redaction)}/3")
    assert user.send(room, "alive")


# State

def test_state_round_trip(user, room):
    event = user.set_state(room, "org.example", {"a": 1}, "key/with slash")["event_id"]
    assert user.state(room, "org.example", "key/with slash") == {"a": 1}
    shown = user.state(room, "org.example", "key/with slash", params={"format": "event"})
    assert shown["event_id"] == event and shown["sender"] == user.user_id and shown["room_id"] == room
    assert user.set_state(room, "org.example", {"a": 1}, "key/with slash")["event_id"] == event
    user.get(f"/rooms/{quote(room)}/state/org.example/none", expect=(404, "M_NOT_FOUND"))


def test_state_without_a_key_in_the_path(user, room):
    user.put(f"/rooms/{quote(room)}/state/m.room.name", {"name": "short"})
    assert user.get(f"/rooms/{quote(room)}/state/m.room.name") == {"name": "short"}
    assert user.get(f"/rooms/{quote(room)}/state/m.room.name/") == {"name": "short"}


def test_unsigned_of_a_state_event(user, room):
    first = user.set_state(room, "m.room.name", {"name": "a"})["event_id"]
    second = user.set_state(room, "m.room.name", {"name": "b"})["event_id"]
    unsigned = user.event(room, second)["unsigned"]
    assert unsigned["prev_content"] == {"name": "a"} and unsigned["replaces_state"] == first
    assert unsigned["membership"] == "join" and unsigned["age"] >= 0


def test_state_belongs_to_its_user(user, other, room):
    user.set_state(room, "m.room.power_levels", {**user.state(room, "m.room.power_levels"), "state_default": 0})
    other.join(room)
    other.set_state(room, "org.example", {}, other.user_id)
    other.set_state(room, "org.example", {}, user.user_id, expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("content, errcode", [
    ({"alias": "#none:localhost"}, "M_BAD_ALIAS"), ({"alt_aliases": ["#none:localhost"]}, "M_BAD_ALIAS"),
    ({"alias": "nonsense"}, "M_INVALID_PARAM"), ({"alt_aliases": ["nonsense"]}, "M_INVALID_PARAM"),
    ({"alt_aliases": "#none:localhost"}, "M_BAD_JSON"), ({"alias": 5}, "M_BAD_JSON"),
])
def test_canonical_alias_must_point_here(user, room, content, errcode):
    user.set_state(room, "m.room.canonical_alias", content, expect=(400, errcode))


# Reading

def test_messages_both_ways(user, room):
    sent = [user.send(room, f"m{i}") for i in range(25)]
    seen, token = [], None
    while True:
        page = user.messages(room, limit=10, **({"from": token} if token else {}))
        seen += [event["event_id"] for event in page["chunk"]]
        if "end" not in page:
            break
        token = page["end"]
    assert seen[:25] == sent[::-1]
    assert len(seen) == len(set(seen)) and user.event(room, seen[-1])["type"] == "m.room.create"
    forwards = user.messages(room, dir="f", limit=100)["chunk"]
    assert [event["event_id"] for event in forwards] == seen[::-1]


def test_messages_between_two_tokens(user, room):
    for i in range(3):
        user.send(room, f"a{i}")
    middle = user.messages(room, limit=1)["start"]
    for i in range(3):
        user.send(room, f"b{i}")
    assert bodies(user.messages(room, to=middle)["chunk"]) == ["b2", "b1", "b0"]
    assert bodies(user.messages(room, **{"from": middle}, limit=3)["chunk"]) == ["a2", "a1", "a0"]
    assert bodies(user.messages(room, **{"from": middle}, dir="f")["chunk"]) == ["b0", "b1", "b2"]


@pytest.mark.parametrize("query, errcode", [
    ({"dir": "x"}, "M_INVALID_PARAM"), ({"from": "' OR 1=1"}, "M_INVALID_PARAM"), ({"limit": "ten"}, "M_INVALID_PARAM"),
    ({"limit": -1}, "M_INVALID_PARAM"), ({"filter": "{"}, "M_NOT_JSON"), ({"filter": '{"types":5}'}, "M_BAD_JSON"), ({"filter": "[]"}, "M_BAD_JSON"),
])
def test_messages_bad_queries(user, room, query, errcode):
    user.get(f"/rooms/{quote(room)}/messages", params={"dir": "b", **query}, expect=(400, errcode))


def test_messages_need_a_direction(user, room):
    user.get(f"/rooms/{quote(room)}/messages", expect=(400, "M_MISSING_PARAM"))


def test_messages_filter(user, other, room):
    other.join(room)
    for i in range(30):
        user.send(room, {"n": i}, kind="org.noise")
    user.send(room, "mine")
    other.send(room, {"body": "picture", "msgtype": "m.image", "url": "mxc://a/b"})

    def read(**filters):
        return bodies(user.messages(room, limit=5, filter=json.dumps(filters))["chunk"])
    assert read(types=["m.room.message"]) == ["picture", "mine"]
    assert read(types=["m.room.mess*"]) == ["picture", "mine"]
    assert read(not_types=["org.*"], senders=[user.user_id]) == ["mine"]
    assert read(not_senders=[user.user_id]) == ["picture"]
    assert read(contains_url=True) == ["picture"]
    assert read(rooms=["!other:localhost"]) == []
    assert read(not_rooms=[room]) == []


def test_messages_lazy_members(user, other, room):
    other.join(room)
    other.send(room, "hello")
    page = user.messages(room, limit=1, filter='{"lazy_load_members":true}')
    assert [event["state_key"] for event in page["state"]] == [other.user_id]


@pytest.mark.slow
def test_CVE_2026_45076_pages_go_on_behind_what_is_hidden(user, other, node):
    room = user.create_room(room_version="11", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}])
    user.invite(room, other)
    other.join(room)
    user.send(room, "oldest")
    other.leave(room)
    for i in range(300):
        user.send(room, f"hidden {i}")
    user.invite(room, other)
    other.join(room)
    user.send(room, "newest")
    found, token = [], None
    for _ in range(100):
        page = other.messages(room, limit=10, **({"from": token} if token else {}))
        found += bodies(page["chunk"])
        token = page.get("end")
        if not token:
            break
    assert found == ["newest", "oldest"]


def test_context(user, room):
    sent = [user.send(room, f"m{i}") for i in range(7)]
    answer = user.get(f"/rooms/{quote(room)}/context/{quote(sent[3])}", params={"limit": 4})
    assert answer["event"]["event_id"] == sent[3]
    assert bodies(answer["events_before"]) == ["m2", "m1"] and bodies(answer["events_after"]) == ["m4", "m5"]
    assert {event["type"] for event in answer["state"]} >= {"m.room.create", "m.room.member"}
    assert bodies(user.messages(room, **{"from": answer["start"]}, limit=2)["chunk"])[:1] == ["m0"]
    assert bodies(user.messages(room, **{"from": answer["end"]}, dir="f")["chunk"]) == ["m6"]
    alone = user.get(f"/rooms/{quote(room)}/context/{quote(sent[3])}", params={"limit": 0})
    assert alone["events_before"] == [] and alone["events_after"] == []


def test_timestamp_to_event(user, room):
    first = user.send(room, "first")
    stamp = user.event(room, first)["origin_server_ts"]
    path = f"/_matrix/client/v1/rooms/{quote(room)}/timestamp_to_event"
    time.sleep(0.01)
    user.send(room, "second")
    assert user.get(path, params={"ts": stamp, "dir": "f"})["event_id"] == first
    assert user.get(path, params={"ts": stamp, "dir": "b"})["event_id"] == first
    assert user.get(path, params={"ts": 1, "dir": "f"})["origin_server_ts"] <= stamp
    user.get(path, params={"ts": 1, "dir": "b"}, expect=(404, "M_NOT_FOUND"))
    user.get(path, params={"ts": 1}, expect=(400, "M_MISSING_PARAM"))


def test_CVE_2021_39164_room_read_gates(user, other, node):
    """Who is where, and what each may read: nothing outside, what there was until one left, all inside."""
    room = user.create_room(room_version="11")
    invited, left, stranger = other, node.new_user("left"), node.new_user("stranger")
    early = user.send(room, "early")
    user.invite(room, left)
    left.join(room)
    token = left.messages(room, limit=1)["start"]
    left.leave(room)
    late = user.send(room, "late")
    user.set_state(room, "m.room.name", {"name": "after"})
    user.invite(room, invited)
    paths = ["state", "state/m.room.create/", "members", f"members?at={token}", "joined_members", "messages?dir=b",
             f"messages?dir=b&from={token}", "messages?dir=f", f"context/{quote(early)}", f"context/{quote(late)}"]
    for path in paths:
        for person in (invited, stranger):
            person.get(f"/rooms/{quote(room)}/{path}", expect=(403, "M_FORBIDDEN"))
    for person in (invited, stranger):
        person.get(f"/rooms/{quote(room)}/event/{quote(early)}", expect=(404, "M_NOT_FOUND"))
    left.get(f"/rooms/{quote(room)}/state/m.room.name/", expect=(404, "M_NOT_FOUND"))
    assert {event["state_key"] for event in left.get(f"/rooms/{quote(room)}/members")["chunk"]} == {user.user_id, left.user_id}
    assert bodies(left.messages(room)["chunk"]) == ["early"]
    assert bodies(left.messages(room, dir="f", limit=100)["chunk"]) == ["early"]
    assert left.event(room, early)
    left.get(f"/rooms/{quote(room)}/event/{quote(late)}", expect=(404, "M_NOT_FOUND"))
    left.get(f"/rooms/{quote(room)}/context/{quote(late)}", expect=(404, "M_NOT_FOUND"))
    left.get(f"/rooms/{quote(room)}/joined_members", expect=(403, "M_FORBIDDEN"))
    left.post(f"/rooms/{quote(room)}/forget")
    for path in paths:
        left.get(f"/rooms/{quote(room)}/{path}", expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("visibility, seen", [("world_readable", True), ("shared", True), ("invited", False), ("joined", False)])
def test_history_visibility_for_who_joins_later(user, other, visibility, seen):
    room = user.create_room(room_version="11", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": visibility}}])
    user.send(room, "before the invite")
    user.invite(room, other)
    user.send(room, "after the invite")
    other.join(room)
    user.send(room, "inside")
    expected = {"joined": ["inside"], "invited": ["inside", "after the invite"]}.get(visibility, ["inside", "after the invite", "before the invite"])
    assert bodies(other.messages(room, limit=50)["chunk"]) == expected


def test_world_readable_is_for_everybody(user, other):
    room = user.create_room(initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "world_readable"}}])
    event = user.send(room, "public")
    assert bodies(other.messages(room)["chunk"]) == ["public"]
    assert other.event(room, event) and other.get(f"/rooms/{quote(room)}/state")
    assert other.get(f"/rooms/{quote(room)}/members")["chunk"]


def test_class_aggregation_leak_transaction_ids(user, other, room):
    other.join(room)
    event = user.send(room, "x", txn="mine-alone")
    assert user.event(room, event)["unsigned"]["transaction_id"] == "mine-alone"
    assert "transaction_id" not in user.another_device().event(room, event)["unsigned"]
    assert "transaction_id" not in other.event(room, event)["unsigned"]


def test_CVE_2026_45078_cpu_starvation(user, other, room):
    device = user.another_device()
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        work = [pool.submit(user.request, "PUT", f"/rooms/{quote(room)}/send/m/{i}", json={"n": i}) for i in range(150)]
        work += [pool.submit(device.request, "PUT", f"/rooms/{quote(room)}/state/m/{i}", json={"n": i}) for i in range(150)]
        slowest = 0
        while not all(each.done() for each in work):
            began = time.monotonic()
            other.get("/joined_rooms")
            slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1
    assert {each.result().status_code for each in work} <= {200, 429}


# One room at a glance

def at_a_glance(person, room, **more):
    return person.get(f"/rooms/{quote(room)}/initialSync", **more)


def test_initial_sync_of_a_room(user, room):
    user.put(f"/user/{user.user_id}/rooms/{quote(room)}/tags/u.work", {"order": 0.5})
    sent = [user.send(room, f"message {number}") for number in range(4)]
    answer = at_a_glance(user, room, params={"limit": 2})
    assert (answer["room_id"], answer["membership"], answer["visibility"]) == (room, "join", "private")
    assert [event["event_id"] for event in answer["messages"]["chunk"]] == sent[2:]
    assert {"m.room.create", "m.room.member", "m.room.power_levels"} <= {event["type"] for event in answer["state"]}
    assert answer["account_data"] == [{"type": "m.tag", "content": {"tags": {"u.work": {"order": 0.5}}}}]
    before = user.messages(room, **{"from": answer["messages"]["start"], "limit": 1})
    assert before["chunk"][0]["event_id"] == sent[1]
    later = user.send(room, "later")
    after = user.messages(room, **{"from": answer["messages"]["end"], "dir": "f"})
    assert [event["event_id"] for event in after["chunk"]] == [later]


def test_initial_sync_is_for_who_may_look(user, other, room):
    hidden = user.send(room, "for members")
    at_a_glance(other, room, expect=(403, "M_FORBIDDEN"))
    user.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    shown = user.send(room, "for everybody")
    answer = at_a_glance(other, room)
    ids = [event["event_id"] for event in answer["messages"]["chunk"]]
    assert shown in ids and hidden not in ids
    assert "membership" not in answer
    assert answer["account_data"] == []


def test_initial_sync_of_a_room_that_was_left(user, other, room):
    other.join(room)
    seen = user.send(room, "before")
    other.leave(room)
    unseen = user.send(room, "after")
    user.set_state(room, "m.room.topic", {"topic": "after"})
    answer = at_a_glance(other, room)
    ids = [event["event_id"] for event in answer["messages"]["chunk"]]
    assert answer["membership"] == "leave"
    assert seen in ids and unseen not in ids
    assert "m.room.topic" not in {event["type"] for event in answer["state"]}
