"""Push rules, and the unread counters that they make."""

import time

import pytest

from client import quote

GLOBAL = "/pushrules/global"


def rules(client, kind):
    return client.get(GLOBAL + "/")[kind]


def ids(client, kind):
    return [rule["rule_id"] for rule in rules(client, kind)]


def own_ids(client, kind):
    return [rule["rule_id"] for rule in rules(client, kind) if not rule["default"]]


def unread(client, room, threads=False):
    """(notifications, highlights) of a room as an initial sync shows them; with threads the answer's two members."""
    filter = {"room": {"rooms": [room], "timeline": {"unread_thread_notifications": threads}}}
    shown = client.sync(filter=filter)["rooms"]["join"][room]
    if threads:
        return shown["unread_notifications"], shown["unread_thread_notifications"]
    count = shown["unread_notifications"]
    return count["notification_count"], count["highlight_count"]


def receipt(client, room, event, kind="m.read", body=None):
    return client.post(f"/rooms/{quote(room)}/receipt/{kind}/{quote(event)}", body)


@pytest.fixture
def room(node, user, other):
    """A room of three, so that the rules for two do not apply."""
    room = user.create_room(preset="public_chat")
    other.join(room)
    node.new_user("third").join(room)
    return room


# The API


def test_predefined_rules(user):
    document = user.get("/pushrules/")["global"]
    assert set(document) == {"override", "content", "room", "sender", "underride"}
    assert document["override"][0] == {"rule_id": ".m.rule.master", "default": True, "enabled": False,
                                       "conditions": [], "actions": []}
    assert [rule["rule_id"] for rule in document["override"][1:]] == [
        ".m.rule.suppress_notices", ".m.rule.invite_for_me", ".m.rule.member_event", ".m.rule.is_user_mention",
        ".m.rule.is_room_mention", ".m.rule.tombstone", ".m.rule.reaction", ".m.rule.room.server_acl",
        ".m.rule.suppress_edits"]
    assert [rule["rule_id"] for rule in document["underride"]] == [
        ".m.rule.call", ".m.rule.encrypted_room_one_to_one", ".m.rule.room_one_to_one", ".m.rule.message",
        ".m.rule.encrypted"]
    mention = user.get(f"{GLOBAL}/override/.m.rule.is_user_mention")
    assert mention["conditions"] == [{"kind": "event_property_contains", "key": "content.m\\.mentions.user_ids",
                                      "value": user.user_id}]
    assert mention["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]


def test_own_rules_and_their_order(user):
    path = GLOBAL + "/content/"
    for name in ("a", "b"):
        user.put(path + name, {"pattern": name, "actions": ["notify"]})
    assert own_ids(user, "content") == ["b", "a"]
    user.put(path + "c?before=a", {"pattern": "c", "actions": []})
    user.put(path + "d?after=a", {"pattern": "d", "actions": []})
    assert own_ids(user, "content") == ["b", "c", "a", "d"]
    assert user.get(path + "c") == {"rule_id": "c", "default": False, "enabled": True, "pattern": "c", "actions": []}
    # Moved, and changed.
    user.put(path + "d?before=b", {"pattern": "dd", "actions": ["notify"]})
    assert own_ids(user, "content") == ["d", "b", "c", "a"]
    assert user.get(path + "d")["pattern"] == "dd"
    user.delete(path + "b")
    assert own_ids(user, "content") == ["d", "c", "a"]
    user.put(path + "e?before=nobody", {"pattern": "e", "actions": []}, expect=(400, "M_INVALID_PARAM"))
    user.delete(path + "b", expect=(404, "M_NOT_FOUND"))
    user.get(path + "b", expect=(404, "M_NOT_FOUND"))
    # Below the master, above the other defaults.
    user.put(GLOBAL + "/override/mine", {"actions": [], "conditions": []})
    assert ids(user, "override")[:3] == [".m.rule.master", "mine", ".m.rule.suppress_notices"]
    user.put(GLOBAL + "/override/x?after=.m.rule.master", {"actions": []}, expect=(400, "M_INVALID_PARAM"))


def test_switches_and_actions(user):
    path = GLOBAL + "/underride/.m.rule.message"
    assert user.get(path + "/enabled") == {"enabled": True}
    user.put(path + "/enabled", {"enabled": False})
    assert user.get(path + "/enabled") == {"enabled": False}
    user.put(path + "/actions", {"actions": []})
    assert user.get(path + "/actions") == {"actions": []}
    rule = user.get(path)
    assert rule["default"] and not rule["enabled"] and rule["actions"] == []
    user.delete(path, expect=(400, "M_INVALID_PARAM"))
    user.put(path + "/enabled", {"enabled": "no"}, expect=(400, "M_BAD_JSON"))
    user.put(path + "/actions", {"actions": "notify"}, expect=(400, "M_BAD_JSON"))
    user.put(GLOBAL + "/underride/nothing/enabled", {"enabled": True}, expect=(404, "M_NOT_FOUND"))


def test_malformed_rules(user):
    put = lambda path, body, expect: user.put(f"{GLOBAL}/{path}", body, expect=expect)
    put("nonsense/a", {"actions": []}, (400, "M_INVALID_PARAM"))
    put("override/.mine", {"actions": []}, (400, "M_INVALID_PARAM"))
    put("override/a%2Fb", {"actions": []}, (400, "M_INVALID_PARAM"))
    put("override/a%5Cb", {"actions": []}, (400, "M_INVALID_PARAM"))
    put("override/a", {}, (400, "M_BAD_JSON"))
    put("override/a", {"actions": [5]}, (400, "M_BAD_JSON"))
    put("override/a", {"actions": [{"no_tweak": 1}]}, (400, "M_BAD_JSON"))
    put("override/a", {"actions": [], "conditions": {}}, (400, "M_BAD_JSON"))
    put("override/a", {"actions": [], "conditions": [{}]}, (400, "M_BAD_JSON"))
    put("content/a", {"actions": []}, (400, "M_MISSING_PARAM"))
    put("content/a", {"actions": [], "pattern": 5}, (400, "M_BAD_JSON"))


def test_changes_come_down_sync(user):
    since = user.sync()["next_batch"]
    user.put(GLOBAL + "/room/!muted:example.org", {"actions": []})
    events = user.sync(since)["account_data"]["events"]
    assert [event["type"] for event in events] == ["m.push_rules"]
    assert events[0]["content"]["global"]["room"][0]["rule_id"] == "!muted:example.org"


# What they count


def test_messages_notify_and_receipts_reset(user, other, room):
    assert unread(user, room) == (0, 0)
    user.send(room, "my own")
    first = other.send(room, "one")
    other.send(room, "two")
    last = other.send(room, "three")
    assert unread(user, room) == (3, 0)
    # A receipt in between leaves what came after it.
    receipt(user, room, first)
    assert unread(user, room) == (2, 0)
    receipt(user, room, last, "m.read.private")
    assert unread(user, room) == (0, 0)
    # An older one brings nothing back.
    receipt(user, room, first)
    assert unread(user, room) == (0, 0)


def test_counters_in_incremental_sync(user, other, room):
    since = user.sync()["next_batch"]
    for expected in (1, 2):
        event = other.send(room, "message")
        answer = user.sync(since)
        shown = answer["rooms"]["join"][room]["unread_notifications"]
        assert shown == {"notification_count": expected, "highlight_count": 0}
        since = answer["next_batch"]
    receipt(user, room, event)
    shown = user.sync(since)["rooms"]["join"][room]["unread_notifications"]
    assert shown == {"notification_count": 0, "highlight_count": 0}


def test_what_does_not_notify(user, other, room):
    other.send(room, {"msgtype": "m.notice", "body": "beep"})
    event = user.send(room, "mine")
    other.send(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": "x"}}, kind="m.reaction")
    other.send(room, {"msgtype": "m.text", "body": "* edit", "m.new_content": {"msgtype": "m.text", "body": "edit"},
                      "m.relates_to": {"rel_type": "m.replace", "event_id": event}})
    other.set_state(room, "m.room.member", {"membership": "join", "displayname": "New"}, other.user_id)
    assert unread(user, room) == (0, 0)


def test_mentions_highlight(user, other, room):
    other.send(room, {"msgtype": "m.text", "body": "hi", "m.mentions": {"user_ids": [user.user_id]}})
    assert unread(user, room) == (1, 1)
    # The whole room: only for who may.
    other.send(room, {"msgtype": "m.text", "body": "@room", "m.mentions": {"room": True}})
    assert unread(user, room) == (2, 1)
    user.send(room, {"msgtype": "m.text", "body": "@room", "m.mentions": {"room": True}})
    assert unread(other, room) == (1, 1)


def test_own_rules_count(user, other, room):
    user.put(GLOBAL + "/content/cake", {"pattern": "c?ke*", "actions": ["notify", {"set_tweak": "highlight"}]})
    other.send(room, "Let there be CAKE!")
    assert unread(user, room) == (1, 1)
    other.send(room, "pancake")
    assert unread(user, room) == (2, 1)
    user.put(f"{GLOBAL}/sender/{quote(other.user_id)}", {"actions": []})
    other.send(room, "hello")
    assert unread(user, room) == (2, 1)
    user.put(f"{GLOBAL}/room/{quote(room)}", {"actions": ["dont_notify"]})
    other.send(room, "hello")
    assert unread(user, room) == (2, 1)
    user.put(GLOBAL + "/override/.m.rule.master/enabled", {"enabled": True})
    other.send(room, "cake")
    assert unread(user, room) == (2, 1)


@pytest.mark.parametrize("condition, matches", [
    ({"kind": "event_match", "key": "content.body", "pattern": "magic"}, True),
    ({"kind": "event_match", "key": "content.body", "pattern": "agic"}, False),
    ({"kind": "event_match", "key": "content.body", "pattern": "a*c"}, True),
    ({"kind": "event_match", "key": "content.kind", "pattern": "So*"}, True),
    ({"kind": "event_match", "key": "content.kind", "pattern": "Some"}, False),
    ({"kind": "event_match", "key": "content.nothing", "pattern": "*"}, False),
    ({"kind": "event_match", "key": "content.dotted\\.key", "pattern": "yes"}, True),
    ({"kind": "event_match", "key": "content.dotted.key", "pattern": "yes"}, False),
    ({"kind": "event_property_is", "key": "content.number", "value": 5}, True),
    ({"kind": "event_property_is", "key": "content.number", "value": "5"}, False),
    ({"kind": "event_property_is", "key": "content.nested.flag", "value": True}, True),
    ({"kind": "event_property_is", "key": "content.null", "value": None}, True),
    ({"kind": "event_property_is", "key": "content.nothing", "value": None}, False),
    ({"kind": "event_property_contains", "key": "content.list", "value": 7}, True),
    ({"kind": "event_property_contains", "key": "content.list", "value": 8}, False),
    ({"kind": "room_member_count", "is": "3"}, True),
    ({"kind": "room_member_count", "is": ">2"}, True),
    ({"kind": "room_member_count", "is": "<=2"}, False),
    ({"kind": "room_member_count", "is": "many"}, False),
    ({"kind": "sender_notification_permission", "key": "room"}, False),
    ({"kind": "contains_display_name"}, False),
    ({"kind": "org.example.unknown"}, False),
])
def test_conditions(user, other, room, condition, matches):
    user.put(GLOBAL + "/override/mine", {"conditions": [condition],
                                         "actions": ["notify", {"set_tweak": "highlight", "value": True}]})
    other.send(room, {"msgtype": "m.text", "body": "a magic word", "kind": "Something", "dotted.key": "yes", "number": 5,
                      "nested": {"flag": True}, "null": None, "list": [1, 7, "x"]})
    assert unread(user, room) == (1, 1 if matches else 0)


def test_display_name_condition(user, other, room):
    user.put(f"/profile/{quote(user.user_id)}/displayname", {"displayname": "Ada L"})
    user.set_state(room, "m.room.member", {"membership": "join", "displayname": "Ada L"}, user.user_id)
    user.put(GLOBAL + "/override/name", {"conditions": [{"kind": "contains_display_name"}],
                                         "actions": ["notify", {"set_tweak": "highlight"}]})
    other.send(room, "well, ada l: what now?")
    assert unread(user, room) == (1, 1)


def test_rooms_of_two(user, other):
    room = user.create_room(preset="trusted_private_chat", invite=[other.user_id])
    other.join(room)
    user.put(GLOBAL + "/underride/.m.rule.message/enabled", {"enabled": False})
    other.send(room, "just us")
    other.send(room, {"ciphertext": "x"}, kind="m.room.encrypted")
    assert unread(user, room) == (2, 0)


def test_threads(user, other, room):
    root = other.send(room, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    other.send(room, {"msgtype": "m.text", "body": "1", "m.relates_to": relation})
    last = other.send(room, {"msgtype": "m.text", "body": "2", "m.relates_to": relation,
                             "m.mentions": {"user_ids": [user.user_id]}})
    assert unread(user, room) == (3, 1)
    main, threads = unread(user, room, threads=True)
    assert main == {"notification_count": 1, "highlight_count": 0}
    assert threads == {root: {"notification_count": 2, "highlight_count": 1}}
    receipt(user, room, last, body={"thread_id": root})
    assert unread(user, room, threads=True) == ({"notification_count": 1, "highlight_count": 0}, {})
    receipt(user, room, root, body={"thread_id": "main"})
    assert unread(user, room) == (0, 0)
    # A receipt without thread reads all of them.
    other.send(room, {"msgtype": "m.text", "body": "3", "m.relates_to": relation})
    last = other.send(room, "4")
    assert unread(user, room) == (2, 0)
    receipt(user, room, last)
    assert unread(user, room) == (0, 0)


def test_ignored_users_do_not_notify(user, other, room):
    user.put(f"/user/{quote(user.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {other.user_id: {}}})
    other.send(room, "hello?")
    assert unread(user, room) == (0, 0)


def test_leaving_forgets_what_was_unread(user, other, room):
    other.send(room, "one")
    assert unread(user, room) == (1, 0)
    user.leave(room)
    user.join(room)
    assert unread(user, room) == (0, 0)


def test_counters_survive_stops_and_kills(make_node):
    node = make_node("count.localhost").start()
    user, other = node.new_user(), node.new_user("other")
    room = user.create_room(preset="public_chat")
    other.join(room)
    other.send(room, "one")
    node.restart()
    user.base = other.base = node.url
    assert unread(user, room) == (1, 0)
    event = other.send(room, "two")
    other.send(room, "three")
    node.kill9()
    node.start()
    user.base = other.base = node.url
    assert unread(user, room) == (3, 0)
    receipt(user, room, event)
    node.kill9()
    node.start()
    user.base = other.base = node.url
    assert unread(user, room) == (1, 0)


def test_CVE_2021_29471_glob_cost(node, user, other, room):
    """Patterns that are costly to match are few, and cost the sender nothing."""
    user.put(GLOBAL + "/content/long", {"pattern": "a" * 1025, "actions": []}, expect=(400, "M_INVALID_PARAM"))
    number = 0
    while user.request("PUT", f"{GLOBAL}/content/r{number}",
                       json={"pattern": "*a" * 500, "actions": ["notify"]}).status_code == 200:
        number += 1
    assert 1 <= number < 20
    user.put(f"{GLOBAL}/content/one-more", {"pattern": "*a" * 500, "actions": []}, expect=(413, "M_TOO_LARGE"))
    began = time.monotonic()
    for _ in range(20):
        other.send(room, "a" * 10000)
    assert unread(user, room)[0] == 20
    assert time.monotonic() - began < 10
