"""Account data, tags, receipts, typing, presence."""

import json
import threading
import time

from client import Client, quote


def room_of(answer, room):
    return answer["rooms"]["join"][room]


def ephemeral(answer, room, kind):
    shown = answer["rooms"]["join"].get(room, {"ephemeral": {"events": []}})
    return [event["content"] for event in shown["ephemeral"]["events"] if event["type"] == kind]


def receipts(answer, room):
    """{(event, type, user, thread)}"""
    found = set()
    for content in ephemeral(answer, room, "m.receipt"):
        for event, types in content.items():
            for kind, users in types.items():
                for user, data in users.items():
                    found.add((event, kind, user, data.get("thread_id")))
    return found


def receipt(client, room, event, kind="m.read", body=None, **more):
    return client.post(f"/rooms/{quote(room)}/receipt/{kind}/{quote(event)}", body, **more)


# Account data and tags


def test_account_data(user, other):
    path = f"/user/{quote(user.user_id)}/account_data/org.example.kind"
    user.get(path, expect=(404, "M_NOT_FOUND"))
    since = user.sync()["next_batch"]
    user.put(path, {"value": 1})
    assert user.get(path) == {"value": 1}
    assert user.sync(since)["account_data"]["events"] == [{"type": "org.example.kind", "content": {"value": 1}}]
    other.get(path, expect=(403, "M_FORBIDDEN"))
    other.put(path, {}, expect=(403, "M_FORBIDDEN"))
    assert user.request("PUT", path, data="[1]").json()["errcode"] == "M_BAD_JSON"


def test_account_data_has_a_quota(make_node):
    """Global data, that of rooms and tags count together, by their names too; who is above it can still make less of it."""
    node = make_node(settings={"accounts": {"account_data_quota": "20K"}}).start()
    user, other = node.new_user(), node.new_user()
    mine = f"/user/{quote(user.user_id)}"
    user.put(f"{mine}/account_data/a", {"text": "x" * 8000})
    user.put(f"{mine}/rooms/!r:x.test/account_data/a", {"text": "x" * 8000})
    too_large = (413, "M_TOO_LARGE")
    user.put(f"{mine}/account_data/b", {"text": "x" * 5000}, expect=too_large)
    user.put(f"{mine}/rooms/!r:x.test/account_data/b", {"text": "x" * 5000}, expect=too_large)
    user.put(f"{mine}/account_data/a", {"text": "x" * 13000}, expect=too_large)
    user.get(f"{mine}/account_data/b", expect=404)
    assert len(user.get(f"{mine}/account_data/a")["text"]) == 8000
    for number in range(100):  # about 3,500 bytes are left, and a row takes more than what stands in it
        answer = user.request("PUT", f"{mine}/rooms/!{number}:x.test/tags/u.x", json={})
        if answer.status_code != 200:
            break
    assert 10 < number < 35 and answer.status_code == 413 and answer.json()["errcode"] == "M_TOO_LARGE"
    other.put(f"/user/{quote(other.user_id)}/account_data/b", {"text": "x" * 5000})

    user.put(f"{mine}/account_data/a", {"text": "y" * 8000})
    user.put(f"{mine}/account_data/a", {})
    user.put(f"{mine}/account_data/b", {"text": "x" * 5000})
    node.settings["accounts"]["account_data_quota"] = "1K"
    node.restart()
    user.put(f"{mine}/account_data/b", {"text": "x" * 5001}, expect=too_large)
    user.put(f"{mine}/account_data/b", {"text": "x" * 4999})


def test_class_row_flood_by_filters(node, user):
    """In number and in bytes they have an end, guests' too; what is there already is stored once, and given out on."""
    path = f"/user/{quote(user.user_id)}/filter"
    too_large = (413, "M_TOO_LARGE")
    first = user.post(path, {"room": {"rooms": ["!0:x.test"]}})["filter_id"]
    node.sql("INSERT INTO filter SELECT user_id, id + n, filter FROM filter, generate_series (1, 998) n"
             f" WHERE user_id = '{user.user_id}'")
    user.post(path, {"room": {"rooms": ["!1:x.test"]}})
    user.post(path, {"room": {"rooms": ["!2:x.test"]}}, expect=too_large)
    assert user.post(path, {"room": {"rooms": ["!0:x.test"]}})["filter_id"]
    assert user.get(f"{path}/{first}") == {"room": {"rooms": ["!0:x.test"]}}

    answer = node.client().post("/register?kind=guest", {})
    guest = Client(node, answer["user_id"], answer["access_token"])
    path = f"/user/{quote(guest.user_id)}/filter"
    statuses = [guest.request("POST", path, json={"number": number, "fill": "x" * 60000}).status_code for number in range(20)]
    assert statuses == [200] * 17 + [413] * 3
    guest.post(path, {"number": 0, "fill": "x" * 60000})


def test_account_data_of_rooms(user):
    room = user.create_room()
    path = f"/user/{quote(user.user_id)}/rooms/{quote(room)}/account_data/org.example.kind"
    since = user.sync()["next_batch"]
    user.put(path, {"value": 2})
    assert user.get(path) == {"value": 2}
    for start in (since, None):
        shown = room_of(user.sync(start), room)["account_data"]["events"]
        assert shown == [{"type": "org.example.kind", "content": {"value": 2}}]
    user.put(f"/user/{quote(user.user_id)}/rooms/nonsense/account_data/x", {}, expect=(400, "M_INVALID_PARAM"))


def test_account_data_that_the_server_keeps(user):
    room = user.create_room()
    base = f"/user/{quote(user.user_id)}"
    user.put(f"{base}/account_data/m.push_rules", {}, expect=(405, "M_BAD_JSON"))
    user.put(f"{base}/rooms/{quote(room)}/account_data/m.fully_read", {}, expect=(405, "M_BAD_JSON"))
    assert "global" in user.get(f"{base}/account_data/m.push_rules")


def test_tags(user, other):
    room = user.create_room()
    path = f"/user/{quote(user.user_id)}/rooms/{quote(room)}/tags"
    assert user.get(path) == {"tags": {}}
    since = user.sync()["next_batch"]
    user.put(f"{path}/u.work", {"order": 0.25})
    user.put(f"{path}/m.favourite", {})
    assert user.get(path) == {"tags": {"u.work": {"order": 0.25}, "m.favourite": {}}}
    shown = room_of(user.sync(since), room)["account_data"]["events"]
    assert shown == [{"type": "m.tag", "content": {"tags": {"u.work": {"order": 0.25}, "m.favourite": {}}}}]
    user.delete(f"{path}/u.work")
    assert user.get(path) == {"tags": {"m.favourite": {}}}
    user.put(f"{path}/bad", {"order": "first"}, expect=(400, "M_BAD_JSON"))
    other.get(path, expect=(403, "M_FORBIDDEN"))
    other.put(f"{path}/x", {}, expect=(403, "M_FORBIDDEN"))


def test_tags_set_at_once_are_all_there(node, user):
    room = user.create_room()
    path = f"/user/{quote(user.user_id)}/rooms/{quote(room)}/tags"
    clients = [type(user)(node, user.user_id, user.token) for _ in range(6)]
    threads = [threading.Thread(target=client.put, args=(f"{path}/u.{i}", {})) for i, client in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(user.get(path)["tags"]) == {f"u.{i}" for i in range(6)}


# Receipts


def test_receipts_are_seen_by_the_room(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    event = user.send(room, "read me")
    since = user.sync()["next_batch"]
    receipt(other, room, event)
    for start in (since, None):
        assert receipts(user.sync(start), room) == {(event, "m.read", other.user_id, None)}
    # From memory as well.
    second = user.send(room, "me too")
    since = user.sync(user.sync()["next_batch"])["next_batch"]
    receipt(other, room, second, body={})
    assert receipts(user.sync(since), room) == {(second, "m.read", other.user_id, None)}


def test_receipts_do_not_go_back(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    first, second = user.send(room, "one"), user.send(room, "two")
    receipt(other, room, second)
    receipt(other, room, first)
    assert receipts(user.sync(), room) == {(second, "m.read", other.user_id, None)}


def test_private_receipts_are_private(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    event = user.send(room, "read me")
    tokens = {client: client.sync(client.sync()["next_batch"])["next_batch"] for client in (user, other)}
    receipt(other, room, event, "m.read.private")
    for start in (tokens[other], None):
        assert receipts(other.sync(start), room) == {(event, "m.read.private", other.user_id, None)}
    for start in (tokens[user], None):
        assert other.user_id not in json.dumps(ephemeral(user.sync(start), room, "m.receipt"))


def test_threaded_receipts(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    root = user.send(room, "root")
    child = user.send(room, {"msgtype": "m.text", "body": "child",
                             "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    receipt(other, room, child, body={"thread_id": root})
    receipt(other, room, root, body={"thread_id": "main"})
    receipt(other, room, root)
    assert receipts(user.sync(), room) == {(child, "m.read", other.user_id, root),
                                           (root, "m.read", other.user_id, "main"),
                                           (root, "m.read", other.user_id, None)}
    for wrong in ("", 5, None, "main", "$unknown"):
        receipt(other, room, child, body={"thread_id": wrong}, expect=(400, "M_INVALID_PARAM"))


def test_read_markers(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    event = user.send(room, "read me")
    since = other.sync()["next_batch"]
    other.post(f"/rooms/{quote(room)}/read_markers", {"m.fully_read": event, "m.read": event})
    answer = other.sync(since)
    marker = {"type": "m.fully_read", "content": {"event_id": event}}
    assert marker in room_of(answer, room)["account_data"]["events"]
    assert receipts(answer, room) == {(event, "m.read", other.user_id, None)}
    assert "m.fully_read" not in json.dumps(user.sync())
    newer = user.send(room, "newer")
    receipt(other, room, newer, "m.fully_read")
    assert other.get(f"/user/{quote(other.user_id)}/rooms/{quote(room)}/account_data/m.fully_read") == {
        "event_id": newer}
    other.post(f"/rooms/{quote(room)}/read_markers", {"m.read": 5}, expect=(400, "M_BAD_JSON"))


def test_CVE_2023_42453_receipt_forgery(node, user, other):
    room = user.create_room(preset="public_chat")
    event = user.send(room, "known to the forger")
    since = user.sync()["next_batch"]
    receipt(other, room, event, expect=(403, "M_FORBIDDEN"))
    other.post(f"/rooms/{quote(room)}/read_markers", {"m.read": event}, expect=(403, "M_FORBIDDEN"))
    other.put(f"/rooms/{quote(room)}/typing/{quote(other.user_id)}", {"typing": True}, expect=(403, "M_FORBIDDEN"))
    # Nor in a room of his own, at an event of another.
    own = other.create_room()
    receipt(other, own, event, expect=(404, "M_NOT_FOUND"))
    other.post(f"/rooms/{quote(own)}/read_markers", {"m.fully_read": event}, expect=(404, "M_NOT_FOUND"))
    receipt(other, room, event, "m.wrote", expect=(400, "M_INVALID_PARAM"))
    assert other.user_id not in json.dumps(user.sync(since))


# Typing


def test_typing(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    since = user.sync()["next_batch"]
    path = f"/rooms/{quote(room)}/typing/{quote(other.user_id)}"
    other.put(path, {"typing": True, "timeout": 30000})
    assert ephemeral(user.sync(), room, "m.typing") == [{"user_ids": [other.user_id]}]
    answer = user.sync(since)
    assert ephemeral(answer, room, "m.typing") == [{"user_ids": [other.user_id]}]
    assert ephemeral(user.sync(answer["next_batch"]), room, "m.typing") == []
    other.put(path, {"typing": False})
    assert ephemeral(user.sync(answer["next_batch"]), room, "m.typing") == [{"user_ids": []}]
    user.put(path, {"typing": True}, expect=(403, "M_FORBIDDEN"))
    other.put(path, {"typing": "yes"}, expect=(400, "M_BAD_JSON"))
    other.put(path, {}, expect=(400, "M_BAD_JSON"))
    other.put(path, {"typing": True, "timeout": "long"}, expect=(400, "M_BAD_JSON"))


def test_typing_runs_out(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    other.put(f"/rooms/{quote(room)}/typing/{quote(other.user_id)}", {"typing": True, "timeout": 100})
    since = user.sync()["next_batch"]
    found, _ = user.sync_until(lambda answer: ephemeral(answer, room, "m.typing"), since, seconds=5)
    assert found == [{"user_ids": []}]


# Presence


def presence_of(answer, user_id):
    found = [event["content"] for event in answer["presence"]["events"] if event["sender"] == user_id]
    return found[-1] if found else None


def test_presence(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    path = f"/presence/{quote(other.user_id)}/status"
    since = user.sync()["next_batch"]
    other.put(path, {"presence": "unavailable", "status_msg": "Lunch"})
    found, since = user.sync_until(lambda answer: presence_of(answer, other.user_id), since)
    assert found["presence"] == "unavailable" and found["status_msg"] == "Lunch"
    assert user.get(path)["status_msg"] == "Lunch"
    assert presence_of(user.sync(), other.user_id)["presence"] == "unavailable"
    other.sync(set_presence="offline")
    assert user.get(path)["presence"] == "unavailable"
    other.sync()
    assert user.get(path)["presence"] == "online"
    user.put(path, {"presence": "online"}, expect=(403, "M_FORBIDDEN"))
    other.put(path, {"presence": "asleep"}, expect=(400, "M_INVALID_PARAM"))
    other.put(path, {}, expect=(400, "M_MISSING_PARAM"))
    other.put(path, {"presence": "online", "status_msg": 5}, expect=(400, "M_BAD_JSON"))


def test_CVE_2023_43796_presence_is_for_sharers_only(node, user, other):
    other.put(f"/presence/{quote(other.user_id)}/status", {"presence": "online", "status_msg": "hush"})
    known = user.request("GET", f"/presence/{quote(other.user_id)}/status")
    unknown = user.request("GET", f"/presence/{quote('@nobody:' + node.server_name)}/status")
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    assert known.status_code == 403
    since = user.sync()["next_batch"]
    other.put(f"/presence/{quote(other.user_id)}/status", {"presence": "unavailable", "status_msg": "hush again"})
    time.sleep(0.5)
    assert "hush" not in json.dumps(user.sync(since)) + json.dumps(user.sync())
