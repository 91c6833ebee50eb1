"""Aliases, the directory of public rooms, summaries and spaces of one server."""

import time

from client import quote
import pytest

V1 = "/_matrix/client/v1"


def alias_of(user, word="alias"):
    return f"#{word}-{user.user_id[1:].split(':')[0]}:localhost"


def put_alias(user, alias, room, **more):
    return user.put(f"/directory/room/{quote(alias)}", {"room_id": room}, **more)


def test_alias_round_trip(user, other):
    room, alias = user.create_room(), alias_of(user, "ünï/codé")
    user.get(f"/directory/room/{quote(alias)}", expect=(404, "M_NOT_FOUND"))
    put_alias(user, alias, room)
    answer = other.get(f"/directory/room/{quote(alias)}", token=None)
    assert answer == {"room_id": room, "servers": ["localhost"]}
    assert user.get(f"/rooms/{quote(room)}/aliases") == {"aliases": [alias]}
    other.get(f"/rooms/{quote(room)}/aliases", expect=(403, "M_FORBIDDEN"))
    taken = put_alias(user, alias, room, expect=(409, "M_UNKNOWN"))
    assert taken["error"] == f"Room alias {alias} already exists"
    user.delete(f"/directory/room/{quote(alias)}")
    user.delete(f"/directory/room/{quote(alias)}", expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize("alias", ["#a:elsewhere.org", "nonsense", "#a\0b:localhost", "#" + "a" * 300 + ":localhost"])
def test_bad_aliases(user, alias):
    put_alias(user, alias, user.create_room(), expect=(400, "M_INVALID_PARAM"))


def test_alias_of_a_room_one_is_not_in(user, other):
    put_alias(other, alias_of(other), user.create_room(), expect=(403, "M_FORBIDDEN"))


def test_CVE_2024_6303_alias_takeover(user, other):
    room, alias = user.create_room(preset="public_chat"), alias_of(user)
    other.join(room)
    put_alias(user, alias, room)
    other.delete(f"/directory/room/{quote(alias)}", expect=(403, "M_FORBIDDEN"))
    put_alias(other, alias, other.create_room(), expect=409)
    assert user.get(f"/directory/room/{quote(alias)}")["room_id"] == room
    mine = alias_of(other, "mine")
    put_alias(other, mine, room)
    user.delete(f"/directory/room/{quote(mine)}")


def test_deleted_alias_leaves_the_rooms_state(user):
    room, first, second = user.create_room(), alias_of(user, "one"), alias_of(user, "two")
    for alias in (first, second):
        put_alias(user, alias, room)
    user.set_state(room, "m.room.canonical_alias", {"alias": first, "alt_aliases": [second]})
    user.delete(f"/directory/room/{quote(first)}")
    assert user.state(room, "m.room.canonical_alias") == {"alt_aliases": [second]}
    user.set_state(room, "m.room.canonical_alias", {"alias": second, "alt_aliases": [first]}, expect=(400, "M_BAD_ALIAS"))


def test_publishing_takes_power(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    path = f"/directory/list/room/{quote(room)}"
    assert other.get(path, token=None)["visibility"] == "private"
    other.put(path, {"visibility": "public"}, expect=(403, "M_FORBIDDEN"))
    user.put(path, {"visibility": "secret"}, expect=(400, "M_INVALID_PARAM"))
    user.put(path, {"visibility": "public"})
    assert other.get(path, token=None)["visibility"] == "public"
    user.put(path, {"visibility": "private"})
    assert room not in [entry["room_id"] for entry in listed(user)]
    user.get("/directory/list/room/!none:localhost", expect=(404, "M_NOT_FOUND"))


def listed(client, **body):
    rooms, since = [], None
    while True:
        page = client.post("/publicRooms", {**body, **({"since": since} if since else {})})
        rooms += page["chunk"]
        since = page.get("next_batch")
        if not since:
            return rooms


def test_public_rooms_entry(user):
    name = f"name {time.monotonic_ns()}"
    room = user.create_room(visibility="public", name=name, topic="the topic", room_alias_name=alias_of(user)[1:].split(":")[0],
                            initial_state=[{"type": "m.room.avatar", "content": {"url": "mxc://a/b"}}])
    entry = [each for each in listed(user) if each["room_id"] == room][0]
    assert entry == {"room_id": room, "name": name, "topic": "the topic", "avatar_url": "mxc://a/b", "join_rule": "public",
                     "canonical_alias": alias_of(user), "num_joined_members": 1, "guest_can_join": False, "world_readable": False}
    assert room in [each["room_id"] for each in user.get("/publicRooms", token=None, params={"limit": 500})["chunk"]]


def test_public_rooms_pages(user):
    rooms = {user.create_room(visibility="public") for _ in range(3)}
    everything = [entry["room_id"] for entry in listed(user)]
    small = [entry["room_id"] for entry in listed(user, limit=1)]
    assert rooms <= set(everything) and everything == small
    page = user.get("/publicRooms", params={"limit": 1})
    second = user.get("/publicRooms", params={"limit": 1, "since": page["next_batch"]})
    assert second["chunk"][0]["room_id"] == everything[1]
    assert user.get("/publicRooms", params={"limit": 1, "since": second["prev_batch"]})["chunk"] == page["chunk"]
    assert page["total_room_count_estimate"] == len(everything)


def test_public_rooms_search(user):
    word = f"Schlüssel{time.monotonic_ns()}"
    by_name = user.create_room(visibility="public", name=f"the {word} room")
    by_topic = user.create_room(visibility="public", topic=f"about {word}s")
    space = user.create_room(visibility="public", name=word, creation_content={"type": "m.space"})

    def search(**filters):
        return {entry["room_id"] for entry in listed(user, filter=filters)}
    assert search(generic_search_term=word.upper()) == {by_name, by_topic, space}
    assert search(generic_search_term=word, room_types=["m.space"]) == {space}
    assert search(generic_search_term=word, room_types=[None]) == {by_name, by_topic}
    assert search(generic_search_term=f"{word}%") == set()


@pytest.mark.parametrize("body, errcode", [
    ({"limit": "1"}, "M_BAD_JSON"), ({"since": 1}, "M_BAD_JSON"), ({"since": "' OR 1"}, "M_INVALID_PARAM"), ({"limit": -1}, "M_INVALID_PARAM"),
    ({"filter": []}, "M_BAD_JSON"), ({"filter": {"room_types": "m.space"}}, "M_BAD_JSON"),
])
def test_public_rooms_bad_bodies(user, body, errcode):
    user.post("/publicRooms", body, expect=(400, errcode))


def test_remote_directory_needs_a_token(user):
    user.get("/publicRooms?server=elsewhere.org", token=None, expect=(401, "M_MISSING_TOKEN"))


# Spaces and summaries

def make_space(user, children, **more):
    space = user.create_room(creation_content={"type": "m.space"}, **more)
    for room, content in children.items():
        user.set_state(space, "m.space.child", {"via": ["localhost"], **content}, room)
    return space


def ids(answer):
    return [room["room_id"] for room in answer["rooms"]]


def test_hierarchy_in_order(user):
    rooms = [user.create_room(preset="public_chat", name=f"r{i}") for i in range(4)]
    inner = make_space(user, {rooms[3]: {}}, preset="public_chat")
    space = make_space(user, {rooms[0]: {"order": "b"}, rooms[1]: {"order": "a", "suggested": True}, rooms[2]: {}, inner: {"order": "c"}})
    path = f"{V1}/rooms/{quote(space)}/hierarchy"
    answer = user.get(path)
    assert ids(answer) == [space, rooms[1], rooms[0], inner, rooms[3], rooms[2]]
    first = answer["rooms"][0]
    assert first["room_type"] == "m.space" and first["num_joined_members"] == 1 and first["room_version"]
    assert [child["state_key"] for child in first["children_state"]] == [rooms[1], rooms[0], inner, rooms[2]]
    assert set(first["children_state"][0]) == {"type", "state_key", "sender", "content", "origin_server_ts"}
    assert ids(user.get(path, params={"max_depth": 1})) == [space, rooms[1], rooms[0], inner, rooms[2]]
    assert ids(user.get(path, params={"max_depth": 0})) == [space]
    assert ids(user.get(path, params={"suggested_only": "true"})) == [space, rooms[1]]


def test_hierarchy_pages(user):
    rooms = [user.create_room(preset="public_chat") for _ in range(5)]
    space = make_space(user, {room: {} for room in rooms})
    path = f"{V1}/rooms/{quote(space)}/hierarchy"
    whole, found, token = ids(user.get(path)), [], None
    while True:
        page = user.get(path, params={"limit": 2, **({"from": token} if token else {})})
        found += ids(page)
        token = page.get("next_batch")
        if not token:
            break
        user.get(path, params={"from": token, "suggested_only": "true"}, expect=(400, "M_INVALID_PARAM"))
    assert found == whole and len(whole) == 6
    user.get(path, params={"from": "x"}, expect=(400, "M_INVALID_PARAM"))


def test_hierarchy_survives_a_circle(user):
    one, two = make_space(user, {}), make_space(user, {})
    user.set_state(one, "m.space.child", {"via": ["localhost"]}, two)
    user.set_state(two, "m.space.child", {"via": ["localhost"]}, one)
    assert ids(user.get(f"{V1}/rooms/{quote(one)}/hierarchy")) == [one, two]


def test_removed_child_is_gone(user):
    room = user.create_room(preset="public_chat")
    space = make_space(user, {room: {}})
    user.set_state(space, "m.space.child", {}, room)
    assert ids(user.get(f"{V1}/rooms/{quote(space)}/hierarchy")) == [space]


def test_CVE_2021_39163_room_summary_leak(user, other):
    secret = user.create_room(name="secret plans")
    trap = make_space(other, {secret: {}}, preset="public_chat")
    assert ids(other.get(f"{V1}/rooms/{quote(trap)}/hierarchy")) == [trap]
    other.get(f"{V1}/rooms/{quote(secret)}/hierarchy", expect=(403, "M_FORBIDDEN"))
    other.get(f"{V1}/room_summary/{quote(secret)}", expect=(404, "M_NOT_FOUND"))
    other.get(f"{V1}/room_summary/{quote(secret)}", token=None, expect=(404, "M_NOT_FOUND"))
    user.invite(secret, other)
    assert ids(other.get(f"{V1}/rooms/{quote(trap)}/hierarchy")) == [trap, secret]


def test_summary(user, other):
    room = user.create_room(preset="public_chat", name="name", room_version="11")
    answer = other.get(f"{V1}/room_summary/{quote(room)}")
    assert answer["name"] == "name" and answer["room_version"] == "11" and answer["membership"] == "leave"
    assert user.get(f"{V1}/room_summary/{quote(room)}")["membership"] == "join"
    assert "membership" not in user.get(f"{V1}/room_summary/{quote(room)}", token=None)
    assert "children_state" not in answer


def test_restricted_rooms_are_shown_to_who_may_join(user, other):
    club = user.create_room(preset="public_chat")
    room = user.create_room(initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": {
        "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}}])
    other.get(f"{V1}/room_summary/{quote(room)}", expect=(404, "M_NOT_FOUND"))
    other.join(club)
    assert other.get(f"{V1}/room_summary/{quote(room)}")["allowed_room_ids"] == [club]
