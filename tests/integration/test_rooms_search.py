"""POST /search."""

import json
import time

from client import quote
import pytest


@pytest.fixture
def word():
    return f"word{time.monotonic_ns()}"


@pytest.fixture
def room(user):
    return user.create_room(preset="public_chat", room_version="11")


def search(client, term, expect=200, query="", **criteria):
    body = {"search_categories": {"room_events": {"search_term": term, **criteria}}}
    answer = client.post(f"/search{query}", body, expect=expect)
    return answer["search_categories"]["room_events"] if expect == 200 else answer


def bodies(found):
    return [result["result"]["content"].get("body") for result in found["results"]]


def test_search_finds_words(user, room, word):
    event = user.send(room, f"The quick {word.upper()}, it jumped")
    user.send(room, "something else")
    found = search(user, f"{word} quick")
    assert found["count"] == 1 and found["results"][0]["result"]["event_id"] == event and found["results"][0]["rank"] > 0
    assert found["highlights"] == [word, "quick"]
    assert search(user, f"{word} slow")["count"] == 0


def test_search_names_and_topics(user, room, word):
    user.set_state(room, "m.room.name", {"name": f"name {word}"})
    user.set_state(room, "m.room.topic", {"topic": f"topic {word}"})
    assert search(user, word)["count"] == 2
    assert [result["result"]["type"] for result in search(user, word, keys=["content.name"])["results"]] == ["m.room.name"]
    search(user, word, keys=["content.secret"], expect=(400, "M_INVALID_PARAM"))


def test_search_orders_and_pages(user, room, word):
    for i in range(5):
        user.send(room, f"{word} {i}")
    user.send(room, f"{word} {word} {word}")
    assert bodies(search(user, word, order_by="recent", filter={"limit": 2})) == [f"{word} {word} {word}", f"{word} 4"]
    assert bodies(search(user, word, order_by="rank"))[0] == f"{word} {word} {word}"
    first = search(user, word, order_by="recent", filter={"limit": 4})
    rest = search(user, word, order_by="recent", filter={"limit": 4}, query=f"?next_batch={first['next_batch']}")
    assert bodies(first) + bodies(rest) == [f"{word} {word} {word}"] + [f"{word} {i}" for i in range(4, -1, -1)]
    assert "next_batch" not in rest and first["count"] == 6


def test_search_filter(user, other, room, word):
    other.join(room)
    second = user.create_room()
    user.send(room, f"{word} mine")
    other.send(room, f"{word} theirs")
    user.send(second, f"{word} elsewhere")
    assert set(bodies(search(user, word, filter={"rooms": [room]}))) == {f"{word} mine", f"{word} theirs"}
    assert bodies(search(user, word, filter={"senders": [other.user_id]})) == [f"{word} theirs"]
    assert set(bodies(search(user, word, filter={"not_rooms": [room]}))) == {f"{word} elsewhere"}


def test_search_context_state_and_groups(user, word):
    user.put(f"/profile/{quote(user.user_id)}/displayname", {"displayname": "Me"})
    room = user.create_room()
    before, event, after = user.send(room, "before"), user.send(room, word), user.send(room, "after")
    found = search(user, word, event_context={"before_limit": 1, "after_limit": 1, "include_profile": True}, include_state=True,
                   groupings={"group_by": [{"key": "room_id"}, {"key": "sender"}]})
    context = found["results"][0]["context"]
    assert [each["event_id"] for each in context["events_before"]] == [before]
    assert [each["event_id"] for each in context["events_after"]] == [after]
    assert context["profile_info"] == {user.user_id: {"displayname": "Me"}} and context["start"] and context["end"]
    assert any(each["type"] == "m.room.create" for each in found["state"][room])
    assert found["groups"]["room_id"][room]["results"] == [event]
    assert found["groups"]["sender"][user.user_id]["results"] == [event]


def test_CVE_2021_39164_search_only_where_one_is(user, other, node, word):
    room = user.create_room(room_version="11", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}])
    user.send(room, f"{word} early")
    assert search(other, word)["count"] == 0
    user.invite(room, other)
    assert search(other, word)["results"] == []
    other.join(room)
    user.send(room, f"{word} inside")
    assert bodies(search(other, word)) == [f"{word} inside"]
    other.leave(room)
    assert search(other, word)["results"] == []


def test_CVE_2024_6300_redacted_words_are_not_found(user, room, word):
    event = user.send(room, f"the {word} is out")
    assert search(user, word)["count"] == 1
    user.put(f"/rooms/{quote(room)}/redact/{quote(event)}/1")
    found = search(user, word)
    assert found["count"] == 0 and found["results"] == []


@pytest.mark.parametrize("term", ["'", "\"", "\\", "%", "_", ":*", "&", "!", "' OR 1=1 --", "a & !b | c:*", "\u00c0'", "(", "<->", "%s%n"])
def test_CVE_2025_1094_search_terms_are_words(user, room, word, term):
    user.send(room, f"{word} plain")
    user.send(room, f"{word} with {term} inside")
    text = json.dumps(search(user, f"{word} {term}"))
    assert "SELECT" not in text and "tsquery" not in text
    assert search(user, word)["count"] == 2
    assert all(word in body for body in bodies(search(user, f"{word}{term}")))


def test_nul_in_a_message_does_not_stop_it(user, room, word):
    event = user.send(room, f"{word}\0")
    assert user.event(room, event)["content"]["body"] == f"{word}\0"


@pytest.mark.parametrize("body, errcode", [
    ({}, "M_MISSING_PARAM"), ({"search_categories": {"room_events": []}}, "M_BAD_JSON"), ({"search_categories": {"room_events": {}}}, "M_MISSING_PARAM"),
    ({"search_categories": {"room_events": {"search_term": 5}}}, "M_BAD_JSON"),
    ({"search_categories": {"room_events": {"search_term": "x", "order_by": "size"}}}, "M_INVALID_PARAM"),
    ({"search_categories": {"room_events": {"search_term": "x", "filter": {"types": 1}}}}, "M_BAD_JSON"),
    ({"search_categories": {"room_events": {"search_term": "x" * 10000}}}, "M_INVALID_PARAM"),
])
def test_search_bad_bodies(user, body, errcode):
    user.post("/search", body, expect=(400, errcode))


def test_search_without_a_category(user):
    assert user.post("/search", {"search_categories": {}}) == {"search_categories": {}}
