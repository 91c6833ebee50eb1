"""Relations, threads, what is bundled with events, and reports."""

import json

from client import quote
import pytest

V1 = "/_matrix/client/v1"


@pytest.fixture
def room(user, other):
    room = user.create_room(preset="public_chat", room_version="11")
    other.join(room)
    return room


def relate(client, room, parent, rel_type, body="x", kind="m.room.message", **more):
    content = {"msgtype": "m.text", "body": body, "m.relates_to": {"rel_type": rel_type, "event_id": parent, **more}}
    if rel_type == "m.replace":
        content["m.new_content"] = {"msgtype": "m.text", "body": body}
    return client.send(room, content, kind=kind)


def react(client, room, parent, key, **more):
    return client.send(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": parent, "key": key}}, kind="m.reaction", **more)


def redact(client, room, event):
    client.put(f"/rooms/{quote(room)}/redact/{quote(event)}/{quote(event)}")


def related(client, room, parent, rest="", **query):
    return client.get(f"{V1}/rooms/{quote(room)}/relations/{quote(parent)}{rest}", params=query)


def ids(answer):
    return [event["event_id"] for event in answer["chunk"]]


def bundled(client, room, event):
    return client.event(room, event)["unsigned"].get("m.relations", {})


def test_relations_by_type_and_direction(user, other, room):
    root = user.send(room, "root")
    thread = [relate(other, room, root, "m.thread", f"t{i}") for i in range(3)]
    reaction = react(other, room, root, "+1")
    assert ids(related(user, room, root)) == [reaction, *thread[::-1]]
    assert ids(related(user, room, root, dir="f")) == [*thread, reaction]
    assert ids(related(user, room, root, "/m.thread")) == thread[::-1]
    assert ids(related(user, room, root, "/m.annotation/m.reaction")) == [reaction]
    assert ids(related(user, room, root, "/m.annotation/m.room.message")) == []
    assert ids(related(user, room, root, "/m.annotation/never.seen")) == []


def test_relations_pages(user, room):
    root = user.send(room, "root")
    thread = [relate(user, room, root, "m.thread", f"t{i}") for i in range(5)]
    found, token = [], None
    while True:
        page = related(user, room, root, limit=2, **({"from": token} if token else {}))
        found += ids(page)
        token = page.get("next_batch")
        if not token:
            break
    assert found == thread[::-1]


def test_relations_recurse(user, room):
    root = user.send(room, "root")
    child = relate(user, room, root, "m.thread")
    grandchild = react(user, room, child, "ok")
    assert ids(related(user, room, root, dir="f")) == [child]
    answer = related(user, room, root, dir="f", recurse="true")
    assert ids(answer) == [child, grandchild] and answer["recursion_depth"] >= 2


@pytest.mark.parametrize("query", [{"dir": "x"}, {"recurse": "maybe"}, {"limit": 0}, {"from": "x"}, {"to": "'"}])
def test_relations_bad_queries(user, room, query):
    event = user.send(room, "x")
    user.get(f"{V1}/rooms/{quote(room)}/relations/{quote(event)}", params=query, expect=(400, "M_INVALID_PARAM"))


def test_relations_and_threads_are_gated(user, node, room):
    event, stranger = user.send(room, "x"), node.new_user()
    stranger.get(f"{V1}/rooms/{quote(room)}/relations/{quote(event)}", expect=(403, "M_FORBIDDEN"))
    stranger.get(f"{V1}/rooms/{quote(room)}/threads", expect=(403, "M_FORBIDDEN"))
    user.get(f"{V1}/rooms/{quote(room)}/relations/%24none", expect=(404, "M_NOT_FOUND"))


def test_CVE_2021_39164_relations_end_where_one_left(user, other, room):
    root = user.send(room, "root")
    seen = relate(user, room, root, "m.thread", "seen")
    other.leave(room)
    relate(user, room, root, "m.thread", "unseen")
    assert ids(related(other, room, root)) == [seen]
    assert "unseen" not in json.dumps(other.get(f"{V1}/rooms/{quote(room)}/threads"))
    assert "unseen" not in json.dumps(other.event(room, root))


def test_edits_are_bundled(user, other, room):
    root = user.send(room, "first")
    relate(other, room, root, "m.replace", "not mine to edit")
    assert "m.replace" not in bundled(user, room, root)
    relate(user, room, root, "m.replace", "second")
    last = relate(user, room, root, "m.replace", "third")
    edit = bundled(user, room, root)["m.replace"]
    assert edit["event_id"] == last and edit["content"]["m.new_content"]["body"] == "third"
    assert user.event(room, root)["content"]["body"] == "first"


def test_threads_are_bundled(user, other, room):
    root = user.send(room, "root")
    relate(user, room, root, "m.thread", "one")
    last = relate(user, room, root, "m.thread", "two")
    thread = bundled(user, room, root)["m.thread"]
    assert thread["count"] == 2 and thread["latest_event"]["event_id"] == last and thread["current_user_participated"] is True
    assert bundled(other, room, root)["m.thread"]["current_user_participated"] is False


def test_references_are_bundled(user, room):
    root = user.send(room, "root")
    reference = relate(user, room, root, "m.reference")
    assert bundled(user, room, root)["m.reference"] == {"chunk": [{"event_id": reference}]}


def test_the_latest_of_a_thread_shows_its_edit(user, room):
    root = user.send(room, "root")
    last = relate(user, room, root, "m.thread", "draft")
    relate(user, room, last, "m.replace", "final")
    latest = bundled(user, room, root)["m.thread"]["latest_event"]
    assert latest["unsigned"]["m.relations"]["m.replace"]["content"]["m.new_content"]["body"] == "final"


def test_class_aggregation_leak_redacted(user, other, room):
    root = user.send(room, "root")
    edit = relate(user, room, root, "m.replace", "secret edit")
    child = relate(other, room, root, "m.thread", "secret reply")
    redact(user, room, edit)
    redact(other, room, child)
    for text in (json.dumps(user.event(room, root)), json.dumps(related(user, room, root)),
                 json.dumps(user.get(f"{V1}/rooms/{quote(room)}/threads")), json.dumps(user.messages(room)["chunk"])):
        assert "secret" not in text
    assert bundled(user, room, root) == {}


def test_class_aggregation_leak_other_room(user, other, room):
    """A relation counts only in its parent's own room."""
    root = user.send(room, "root")
    elsewhere = other.create_room()
    relate(other, elsewhere, root, "m.thread", "smuggled")
    assert bundled(user, room, root) == {} and ids(related(user, room, root)) == []


def test_class_aggregation_leak_transaction_id_of_the_nested(user, other, room):
    root = user.send(room, "root")
    content = {"body": "x", "msgtype": "m.text", "m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    other.send(room, content, txn="mine-alone")
    assert "mine-alone" not in json.dumps(user.event(room, root))
    assert "mine-alone" in json.dumps(other.event(room, root))


def test_class_aggregation_leak_ignored(user, other, node, room):
    """What an ignored user says counts for nothing in what is bundled."""
    root = user.send(room, "root")
    relate(user, room, root, "m.thread", "mine")
    relate(other, room, root, "m.thread", "ignored words")
    relate(other, room, root, "m.reference", "ignored words")
    assert bundled(user, room, root)["m.thread"]["count"] == 2
    user.put(f"/user/{quote(user.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {other.user_id: {}}})
    left = bundled(user, room, root)
    assert "ignored words" not in json.dumps(left) and left["m.thread"]["count"] == 1 and "m.reference" not in left


def test_threads_list(user, other, room):
    roots = [user.send(room, f"root {i}") for i in range(3)]
    for root in roots:
        relate(user, room, root, "m.thread")
    relate(other, room, roots[0], "m.thread", "again")
    path = f"{V1}/rooms/{quote(room)}/threads"
    assert ids(user.get(path)) == [roots[0], roots[2], roots[1]]
    assert ids(other.get(path, params={"include": "participated"})) == [roots[0]]
    page = user.get(path, params={"limit": 2})
    assert ids(page) == [roots[0], roots[2]]
    rest = user.get(path, params={"limit": 2, "from": page["next_batch"]})
    assert ids(rest) == [roots[1]] and "next_batch" not in rest
    user.get(path, params={"include": "mine"}, expect=(400, "M_INVALID_PARAM"))


def test_an_annotation_is_made_once(user, other, room):
    root = user.send(room, "root")
    first = react(user, room, root, "+1", txn="again")
    assert react(user, room, root, "+1", txn="again") == first
    content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+1"}}
    user.put(f"/rooms/{quote(room)}/send/m.reaction/other", content, expect=(400, "M_DUPLICATE_ANNOTATION"))
    react(other, room, root, "+1")
    react(user, room, root, "-1")
    redact(user, room, first)
    react(user, room, root, "+1")


# Reports

def test_reports(user, other, node, room):
    event = user.send(room, "bad")
    other.post(f"/rooms/{quote(room)}/report/{quote(event)}", {"reason": "spam", "score": -100})
    other.post(f"/rooms/{quote(room)}/report", {"reason": ""})
    other.post(f"/users/{quote(user.user_id)}/report", {"reason": "rude"})
    node.new_user().post(f"/rooms/{quote(room)}/report/{quote(event)}", {"reason": "x"}, expect=(404, "M_NOT_FOUND"))
    other.post(f"/rooms/{quote(room)}/report/%24none", {"reason": "x"}, expect=(404, "M_NOT_FOUND"))
    other.post(f"/rooms/{quote(room)}/report/{quote(event)}", {"reason": 5}, expect=(400, "M_BAD_JSON"))
