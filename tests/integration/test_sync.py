"""GET /sync: what clients are told, and what not (client-server, "Syncing")."""

import json
import threading
import time

import pytest

from client import quote

LIMIT_5 = {"room": {"timeline": {"limit": 5}}}
LAZY = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 10}}}


def joined(answer, room):
    return answer["rooms"]["join"].get(room)


def bodies(room):
    return [event["content"].get("body") for event in room["timeline"]["events"] if event["type"] == "m.room.message"]


def kinds(events):
    return {(event["type"], event.get("state_key")) for event in events}


def members(events):
    return {event["state_key"]: event["content"]["membership"] for event in events if event["type"] == "m.room.member"}


class Waiting(threading.Thread):
    """A long poll in a thread of its own."""

    def __init__(self, client, since, timeout=20000, **query):
        super().__init__(daemon=True)
        self.client, self.since, self.timeout, self.query = client, since, timeout, query
        self.response, self.seconds = None, None
        self.start()
        time.sleep(0.3)

    def run(self):
        began = time.monotonic()
        self.response = self.client.request("GET", "/sync", params={"since": self.since, "timeout": self.timeout,
                                                                    **self.query})
        self.seconds = time.monotonic() - began

    def answer(self, status=200):
        self.join(30)
        assert self.response is not None, "the poll did not end"
        assert self.response.status_code == status, self.response.text
        return self.response.json()


def test_initial_sync_has_state_and_timeline(user):
    room = user.create_room(name="A room", preset="public_chat")
    user.send(room, "first")
    answer = user.sync()
    shown = joined(answer, room)
    assert bodies(shown) == ["first"]
    whole = kinds(shown["state"]["events"]) | kinds(shown["timeline"]["events"])
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", user.user_id)} <= whole
    # Each event stands in one of the two.
    assert not ({e["event_id"] for e in shown["state"]["events"]} & {e["event_id"] for e in shown["timeline"]["events"]})
    assert "room_id" not in shown["timeline"]["events"][0]
    assert answer["device_one_time_keys_count"] == {"signed_curve25519": 0}
    assert any(event["type"] == "m.push_rules" for event in answer["account_data"]["events"])


def test_incremental_sync_has_what_is_new(user, other):
    room = user.create_room(preset="public_chat")
    since = user.sync()["next_batch"]
    assert user.sync(since)["rooms"]["join"] == {}
    user.send(room, "one")
    user.send(room, "two")
    answer = user.sync(since)
    assert bodies(joined(answer, room)) == ["one", "two"]
    assert joined(answer, room)["state"]["events"] == []
    assert not joined(answer, room)["timeline"]["limited"]
    # The same from the same token again, by memory or not.
    assert bodies(joined(user.sync(since), room)) == ["one", "two"]
    assert user.sync(answer["next_batch"])["rooms"]["join"] == {}


def test_limited_timeline_has_the_state_at_its_start(user):
    room = user.create_room(preset="public_chat")
    user.set_state(room, "m.room.topic", {"topic": "before"})
    since = user.sync(filter=LIMIT_5)["next_batch"]
    user.set_state(room, "m.room.topic", {"topic": "in the gap"})
    for i in range(4):
        user.send(room, f"gap {i}")
    user.set_state(room, "m.room.topic", {"topic": "in the timeline"})
    for i in range(3):
        user.send(room, f"end {i}")
    shown = joined(user.sync(since, filter=LIMIT_5), room)
    assert shown["timeline"]["limited"]
    assert len(shown["timeline"]["events"]) == 5
    topics = [event["content"]["topic"] for event in shown["state"]["events"] if event["type"] == "m.room.topic"]
    assert topics == ["in the gap"]
    older = user.messages(room, **{"from": shown["timeline"]["prev_batch"], "limit": 3})
    assert [event["content"].get("body") for event in older["chunk"]] == ["gap 2", "gap 1", "gap 0"]


def test_newly_joined_room_comes_whole(user, other):
    room = user.create_room(preset="public_chat", name="Joined later")
    user.send(room, "before")
    since = other.sync()["next_batch"]
    other.join(room)
    shown = joined(other.sync(since), room)
    whole = kinds(shown["state"]["events"]) | kinds(shown["timeline"]["events"])
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", other.user_id)} <= whole
    assert "before" in bodies(shown)


def test_full_state(user):
    room = user.create_room(preset="public_chat")
    since = user.sync()["next_batch"]
    shown = joined(user.sync(since, full_state="true"), room)
    assert ("m.room.create", "") in kinds(shown["state"]["events"])
    assert shown["timeline"]["events"] == []


def test_state_after(user):
    room = user.create_room(preset="public_chat")
    since = user.sync()["next_batch"]
    user.set_state(room, "m.room.topic", {"topic": "new"})
    shown = joined(user.sync(since, use_state_after="true"), room)
    assert "state" not in shown
    assert [event["content"] for event in shown["state_after"]["events"]] == [{"topic": "new"}]


@pytest.mark.parametrize("since", ["nonsense", "s1", "s1_2_3", "s-1_0_0_0", "s1_0_zz_0", "s99999999999999999999_0_0_0"])
def test_malformed_since(user, since):
    user.get("/sync", params={"since": since}, expect=(400, "M_INVALID_PARAM"))


def test_malformed_parameters(user):
    user.get("/sync", params={"timeout": "soon"}, expect=(400, "M_INVALID_PARAM"))
    user.get("/sync", params={"full_state": "perhaps"}, expect=(400, "M_INVALID_PARAM"))
    user.get("/sync", params={"set_presence": "drunk"}, expect=(400, "M_INVALID_PARAM"))
    user.get("/sync", params={"filter": "{"}, expect=(400, "M_NOT_JSON"))
    user.get("/sync", params={"filter": '{"room": 5}'}, expect=(400, "M_BAD_JSON"))
    user.get("/sync", params={"filter": "12345"}, expect=(404, "M_NOT_FOUND"))


# Long polls


def test_poll_wakes_for_a_message(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    poll = Waiting(other, other.sync()["next_batch"])
    user.send(room, "wake up")
    assert bodies(joined(poll.answer(), room)) == ["wake up"]
    assert poll.seconds < 5


def test_poll_times_out_with_an_empty_answer(user):
    since = user.sync()["next_batch"]
    began = time.monotonic()
    answer = user.sync(since, timeout=1000)
    assert 0.9 < time.monotonic() - began < 5
    assert answer["rooms"]["join"] == {} and answer["next_batch"]
    assert answer["device_one_time_keys_count"] == {"signed_curve25519": 0}


def test_poll_wakes_for_invites_leaves_and_account_data(user, other):
    room = user.create_room()
    poll = Waiting(other, other.sync()["next_batch"])
    user.invite(room, other)
    answer = poll.answer()
    assert room in answer["rooms"]["invite"]
    poll = Waiting(other, answer["next_batch"])
    other.put(f"/user/{quote(other.user_id)}/account_data/org.example.kind", {"a": 1})
    answer = poll.answer()
    assert {"type": "org.example.kind", "content": {"a": 1}} in answer["account_data"]["events"]
    other.join(room)
    poll = Waiting(other, other.sync()["next_batch"])
    user.post(f"/rooms/{quote(room)}/kick", {"user_id": other.user_id})
    assert room in poll.answer()["rooms"]["leave"]


def test_poll_waits_on_when_the_filter_wants_nothing_of_it(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    since = other.sync()["next_batch"]
    poll = Waiting(other, since, timeout=1500, filter=json.dumps({"room": {"not_rooms": [room]},
                                                                  "presence": {"types": []}}))
    user.send(room, "not for you")
    assert poll.answer()["rooms"]["join"] == {}
    assert poll.seconds > 1.4


def test_many_polls_of_one_user(node, user):
    since = user.sync()["next_batch"]
    polls = [Waiting.__new__(Waiting) for _ in range(60)]
    for poll in polls:
        threading.Thread.__init__(poll, daemon=True)
        poll.client, poll.since, poll.timeout, poll.query = user, since, 20000, {}
        poll.response, poll.seconds = None, None
        poll.client = type(user)(node, user.user_id, user.token)
        poll.start()
    time.sleep(1)
    assert sum(poll.response is not None for poll in polls) >= 15
    user.put(f"/user/{quote(user.user_id)}/account_data/org.example.end", {})
    for poll in polls:
        poll.answer()


def test_class_token_revocation_ends_the_open_sync(user):
    device = user.another_device()
    poll = Waiting(device, device.sync()["next_batch"])
    user_before = device.token
    device.post("/logout")
    assert poll.answer(401)["errcode"] == "M_UNKNOWN_TOKEN"
    assert poll.seconds < 5
    device.token = user_before
    device.get("/sync", expect=(401, "M_UNKNOWN_TOKEN"))


def test_class_token_revocation_by_password_change_and_deletion(user):
    first, second = user.another_device(), user.another_device()
    poll = Waiting(first, first.sync()["next_batch"])
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id},
            "password": user.password}
    challenge = user.delete(f"/devices/{first.device_id}", {}, expect=401)
    user.delete(f"/devices/{first.device_id}", {"auth": {**auth, "session": challenge["session"]}})
    assert poll.answer(401)["errcode"] == "M_UNKNOWN_TOKEN"
    poll = Waiting(second, second.sync()["next_batch"])
    body = {"new_password": "another one entirely", "logout_devices": True}
    challenge = user.post("/account/password", body, expect=401)
    user.post("/account/password", {**body, "auth": {**auth, "session": challenge["session"]}})
    assert poll.answer(401)["errcode"] == "M_UNKNOWN_TOKEN"


# Memberships


def test_invite_shows_stripped_state(user, other):
    room = user.create_room(name="Come in", topic="Tea")
    user.send(room, "secret")
    user.invite(room, other)
    shown = other.sync()["rooms"]["invite"][room]["invite_state"]["events"]
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.join_rules", ""),
            ("m.room.member", other.user_id), ("m.room.member", user.user_id)} <= kinds(shown)
    for event in shown:
        assert set(event) == {"type", "state_key", "content", "sender"}
    assert ("m.room.power_levels", "") not in kinds(shown)


def test_invite_is_shown_once_and_goes_when_turned_down(user, other):
    room = user.create_room()
    user.send(room, "secret")
    user.invite(room, other)
    since = other.sync()["next_batch"]
    assert other.sync(since)["rooms"]["invite"] == {}
    assert room in other.sync()["rooms"]["invite"]
    other.leave(room)
    answer = other.sync(since)
    left = answer["rooms"]["leave"][room]
    assert [event["type"] for event in left["timeline"]["events"]] == ["m.room.member"]
    assert left["timeline"]["events"][0]["content"]["membership"] == "leave"
    assert left["state"]["events"] == []
    assert room not in other.sync()["rooms"]["leave"]


def test_knock(user, other):
    room = user.create_room(name="Knock here", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    since = other.sync()["next_batch"]
    other.post(f"/knock/{quote(room)}", {})
    shown = other.sync(since)["rooms"]["knock"][room]["knock_state"]["events"]
    assert ("m.room.name", "") in kinds(shown)


def test_CVE_2024_53867_nothing_after_the_leave(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    since = other.sync()["next_batch"]
    user.send(room, "while inside")
    user.post(f"/rooms/{quote(room)}/kick", {"user_id": other.user_id})
    user.send(room, "after the leave")
    user.set_state(room, "m.room.topic", {"topic": "after the leave"})
    for start in (since, None):
        filter = {"room": {"include_leave": True}}
        answer = other.sync(start, filter=filter)
        left = answer["rooms"]["leave"][room]
        assert bodies(left)[-1:] == ["while inside"]
        assert left["timeline"]["events"][-1]["content"]["membership"] == "leave"
        assert "after the leave" not in json.dumps(answer)
        assert room not in answer["rooms"]["join"]
        again = other.sync(answer["next_batch"], filter=filter)
        assert room not in again["rooms"]["leave"]
    assert "after the leave" not in json.dumps(other.sync(since, full_state="true", filter=filter))


def test_CVE_2024_53867_held_poll_and_memory(user, other):
    """The same when the answer comes from memory."""
    room = user.create_room(preset="public_chat")
    other.join(room)
    since = other.sync()["next_batch"]
    user.send(room, "one")
    since = other.sync(since)["next_batch"]
    poll = Waiting(other, since)
    user.post(f"/rooms/{quote(room)}/ban", {"user_id": other.user_id})
    answer = poll.answer()
    assert answer["rooms"]["leave"][room]["timeline"]["events"][-1]["content"]["membership"] == "ban"
    poll = Waiting(other, answer["next_batch"], timeout=1500)
    user.send(room, "after the ban")
    user.put(f"/rooms/{quote(room)}/typing/{quote(user.user_id)}", {"typing": True, "timeout": 10000})
    assert room not in json.dumps(poll.answer())


def test_leave_with_restricted_history_is_seen(user, other):
    room = user.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}])
    user.send(room, "before")
    other.join(room)
    shown = joined(other.sync(), room)
    assert "before" not in json.dumps(shown["timeline"])
    since = other.sync()["next_batch"]
    other.leave(room)
    left = other.sync(since)["rooms"]["leave"][room]
    assert left["timeline"]["events"][-1]["content"]["membership"] == "leave"


def test_join_and_leave_between_two_syncs(user, other):
    room = user.create_room(preset="public_chat", name="Short visit")
    since = other.sync()["next_batch"]
    other.join(room)
    other.leave(room)
    left = other.sync(since)["rooms"]["leave"][room]
    whole = kinds(left["state"]["events"]) | kinds(left["timeline"]["events"])
    assert ("m.room.name", "") in whole


def test_left_and_joined_again_between_two_syncs(user, other):
    room = user.create_room(preset="public_chat", name="Again")
    other.join(room)
    since = other.sync()["next_batch"]
    other.leave(room)
    user.set_state(room, "m.room.topic", {"topic": "while away"})
    other.join(room)
    shown = joined(other.sync(since), room)
    whole = kinds(shown["state"]["events"]) | kinds(shown["timeline"]["events"])
    assert {("m.room.name", ""), ("m.room.topic", "")} <= whole


def test_forgotten_rooms_are_gone(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    other.leave(room)
    filter = {"room": {"include_leave": True}}
    assert room in other.sync(filter=filter)["rooms"]["leave"]
    other.post(f"/rooms/{quote(room)}/forget", {})
    assert room not in other.sync(filter=filter)["rooms"]["leave"]


# Lazy loading and summaries


def test_lazy_loading(node, user):
    room = user.create_room(preset="public_chat", name="Many")
    people = [node.new_user(f"lazy{i}") for i in range(3)]
    for person in people:
        person.join(room)
    for i in range(10):
        people[0].send(room, f"filler {i}")
    answer = user.sync(filter=LAZY)
    assert set(members(joined(answer, room)["state"]["events"])) == {user.user_id, people[0].user_id}
    # A new voice brings its member event, once.
    people[1].send(room, "hello")
    answer = user.sync(answer["next_batch"], filter=LAZY)
    assert members(joined(answer, room)["state"]["events"]) == {people[1].user_id: "join"}
    people[1].send(room, "hello again")
    again = user.sync(answer["next_batch"], filter=LAZY)
    assert members(joined(again, room)["state"]["events"]) == {}
    # A client that lost the answer asks from the old token and is told again.
    lost = user.sync(answer["next_batch"], filter={"room": {"state": {"lazy_load_members": True,
                                                                     "include_redundant_members": True}}})
    assert members(joined(lost, room)["state"]["events"]) == {people[1].user_id: "join"}
    # What happens in a gap is told whoever speaks.
    people[2].leave(room)
    for i in range(12):
        people[0].send(room, f"gap {i}")
    gap = user.sync(again["next_batch"], filter=LAZY)
    assert members(joined(gap, room)["state"]["events"]) == {people[2].user_id: "leave"}


def test_lazy_loading_is_strictly_boolean(user):
    user.get("/sync", params={"filter": json.dumps({"room": {"state": {"lazy_load_members": "true"}}})},
             expect=(400, "M_BAD_JSON"))


def test_summary(node, user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    guest = node.new_user("invited")
    user.invite(room, guest)
    summary = joined(user.sync(), room)["summary"]
    assert summary == {"m.heroes": [other.user_id, guest.user_id], "m.joined_member_count": 2,
                       "m.invited_member_count": 1}
    since = user.sync()["next_batch"]
    other.leave(room)
    summary = joined(user.sync(since), room)["summary"]
    assert summary["m.joined_member_count"] == 1 and summary["m.heroes"] == [guest.user_id]
    user.set_state(room, "m.room.name", {"name": "Named"})
    assert "m.heroes" not in joined(user.sync(), room)["summary"]


# Ignored users, visibility, redaction


def test_ignored_users(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    since = user.sync()["next_batch"]
    other.send(room, "before")
    user.put(f"/user/{quote(user.user_id)}/account_data/m.ignored_user_list",
             {"ignored_users": {other.user_id: {}}})
    other.send(room, "ignore me")
    assert bodies(joined(user.sync(), room)) == []
    answer = user.sync(since)
    since = answer["next_batch"]
    assert bodies(joined(answer, room) or {"timeline": {"events": []}}) == []
    other.send(room, "still ignored")
    other.set_state(other.create_room(invite=[user.user_id]), "m.room.topic", {"topic": "x"})
    answer = user.sync(since)
    assert room not in answer["rooms"]["join"] and answer["rooms"]["invite"] == {}


def test_CVE_2024_6300_redacted_is_shown_pruned_from_memory(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    since = other.sync()["next_batch"]
    event = user.send(room, "xylophone")
    assert bodies(joined(other.sync(since), room)) == ["xylophone"]
    user.put(f"/rooms/{quote(room)}/redact/{quote(event)}/r1", {})
    assert "xylophone" not in json.dumps(other.sync(since))
    assert "xylophone" not in json.dumps(other.sync())


def test_class_aggregation_leak_transaction_ids(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    device = user.another_device()
    tokens = {client: client.sync()["next_batch"] for client in (user, other, device)}
    user.send(room, "mine", txn="secret-transaction")
    for client in (user, other, device):
        for since in (tokens[client], None):
            event = joined(client.sync(since), room)["timeline"]["events"][-1]
            assert event["unsigned"].get("transaction_id") == ("secret-transaction" if client is user else None)


def test_membership_in_unsigned(user, other):
    room = user.create_room(preset="public_chat")
    user.send(room, "before")
    since = other.sync()["next_batch"]
    other.join(room)
    user.send(room, "after")
    shown = joined(other.sync(since), room)["timeline"]["events"]
    by_body = {event["content"].get("body"): event["unsigned"]["membership"] for event in shown}
    assert by_body["before"] == "leave" and by_body["after"] == "join"


# Filters


def test_filters(user, other):
    path = f"/user/{quote(user.user_id)}/filter"
    filter = {"room": {"timeline": {"types": ["m.room.message"], "limit": 1}}}
    number = user.post(path, filter)["filter_id"]
    assert user.post(path, filter)["filter_id"] == number
    assert user.get(f"{path}/{number}") == filter
    user.get(f"{path}/999", expect=(404, "M_NOT_FOUND"))
    other.get(f"{path}/{number}", expect=(403, "M_FORBIDDEN"))
    other.post(path, filter, expect=(403, "M_FORBIDDEN"))
    user.post(path, {"room": {"timeline": {"limit": "many"}}}, expect=(400, "M_BAD_JSON"))
    user.post(path, {"presence": []}, expect=(400, "M_BAD_JSON"))

    room = user.create_room(preset="public_chat")
    user.send(room, "one")
    user.send(room, {"a": 1}, kind="org.example.other")
    answer = user.sync(filter=number)
    assert bodies(joined(answer, room)) == ["one"]
    # What the filter keeps out of the timeline is in the state all the same.
    user.set_state(room, "m.room.topic", {"topic": "new"})
    user.send(room, "two")
    shown = joined(user.sync(answer["next_batch"], filter=number), room)
    assert bodies(shown) == ["two"]
    assert ("m.room.topic", "") in kinds(shown["state"]["events"])


def test_filter_by_pattern_reaches_its_limit(user):
    room = user.create_room(preset="public_chat")
    for i in range(3):
        user.send(room, {"n": i}, kind="org.example.wanted.kind")
        for _ in range(5):
            user.send(room, "noise")
    answer = user.sync(filter={"room": {"timeline": {"types": ["org.example.*"], "limit": 3}}})
    assert [event["content"]["n"] for event in joined(answer, room)["timeline"]["events"]] == [0, 1, 2]


def test_filter_of_rooms_and_formats(user):
    rooms = [user.create_room() for _ in range(2)]
    answer = user.sync(filter={"room": {"rooms": [rooms[0]]}, "account_data": {"types": []}})
    assert list(answer["rooms"]["join"]) == [rooms[0]]
    assert answer["account_data"]["events"] == []
    answer = user.sync(filter={"event_format": "federation", "room": {"rooms": [rooms[0]]}})
    assert "auth_events" in joined(answer, rooms[0])["timeline"]["events"][0]


def test_what_was_committed_without_a_word(make_node):
    """A write whose outcome was lost with the connection to the database is found in it later: nobody misses it."""
    node = make_node("silent.localhost").start()
    alice, bob = node.new_user("alice"), node.new_user("bob")
    room, other = alice.create_room(preset="public_chat"), alice.create_room()
    bob.join(room)
    lost = [alice.send(room, body) for body in ("lost and found", "found as well")]
    alice.send(room, "before")
    since = bob.sync(bob.sync()["next_batch"])["next_batch"]

    def lose(event):
        """As if it had been committed just now, and nobody told."""
        node.sql("UPDATE stream SET position = position + 1, batch = batch + 1")
        node.sql(f"UPDATE event SET position = (SELECT position FROM stream) WHERE event_id = '{event}'")

    lose(lost[0])
    alice.send(room, "after")
    answer = bob.sync(since)
    assert bodies(joined(answer, room)) == ["lost and found", "after"]
    # The next answer comes from memory again.
    alice.send(room, "later")
    answer = bob.sync(answer["next_batch"])
    assert bodies(joined(answer, room)) == ["later"]
    waiting = Waiting(bob, answer["next_batch"])
    lose(lost[1])
    alice.send(other, "none of his business")
    assert bodies(joined(waiting.answer(), room)) == ["found as well"]


def test_tokens_of_a_former_life(make_node):
    node = make_node("restart.localhost").start()
    user = node.new_user()
    room = user.create_room()
    since = user.sync()["next_batch"]
    user.send(room, "kept")
    node.restart()
    for client in (user,):
        client.base = node.url
    assert bodies(joined(user.sync(since), room)) == ["kept"]
