"""Finding users: those in a room with the searcher, or in an open one; nobody else."""

import time

import machine


def named(node, name):
    user = node.new_user()
    user.put(f"/profile/{user.user_id}/displayname", {"displayname": name})
    return user


def search(user, term, **more):
    answer = user.post("/user_directory/search", {"search_term": term, **more})
    return {result["user_id"]: result for result in answer["results"]}


def unique(prefix):
    return f"{prefix}{time.monotonic_ns()}"


def test_finds_who_shares_a_room(node):
    name = unique("Zoë ")
    searcher, found = node.new_user(), named(node, name)
    assert search(searcher, name) == {}
    room = searcher.create_room()
    searcher.invite(room, found)
    assert search(searcher, name) == {}
    found.join(room)
    assert search(searcher, name) == {found.user_id: {"user_id": found.user_id, "display_name": name}}
    assert search(searcher, name[3:].upper()).keys() == {found.user_id}
    assert search(searcher, found.user_id).keys() == {found.user_id}
    assert search(searcher, found.user_id[1:-4]).keys() == {found.user_id}
    found.leave(room)
    assert search(searcher, name) == {}


def test_finds_who_is_in_an_open_room(node):
    name = unique("Open ")
    searcher, found = node.new_user(), named(node, name)
    room = found.create_room(preset="public_chat")
    assert search(searcher, name).keys() == {found.user_id}
    found.set_state(room, "m.room.join_rules", {"join_rule": "invite"})
    assert search(searcher, name) == {}
    found.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert search(searcher, name).keys() == {found.user_id}


def test_CVE_2023_43796_room_only_nickname_is_not_found(node):
    name, nickname = unique("Known "), unique("Secret ")
    searcher, found = node.new_user(), named(node, name)
    public, private = found.create_room(preset="public_chat"), found.create_room()
    found.set_state(private, "m.room.member", {"membership": "join", "displayname": nickname}, state_key=found.user_id)
    assert search(searcher, nickname) == {}
    assert search(searcher, name)[found.user_id]["display_name"] == name
    assert public != private


def test_name_change_is_found(node):
    searcher, found = node.new_user(), named(node, unique("Before "))
    found.create_room(preset="public_chat")
    name = unique("After ")
    found.put(f"/profile/{found.user_id}/displayname", {"displayname": name})
    machine.wait_for(lambda: search(searcher, name), what="the new name")


def test_signs_of_patterns_are_letters(node):
    name = unique("100%_\\")
    searcher, found = node.new_user(), named(node, name)
    found.create_room(preset="public_chat")
    assert search(searcher, "%" + "_" * 30) == {}
    assert search(searcher, "\\%") == {}
    assert found.user_id in search(searcher, "100%_", limit=50)


def test_limit_and_bad_bodies(node):
    prefix = unique("Many ")
    searcher = node.new_user()
    room = searcher.create_room(preset="public_chat")
    for i in range(4):
        named(node, f"{prefix} {i}").join(room)
    answer = searcher.post("/user_directory/search", {"search_term": prefix, "limit": 3})
    assert len(answer["results"]) == 3 and answer["limited"] is True
    answer = searcher.post("/user_directory/search", {"search_term": prefix, "limit": 4})
    assert len(answer["results"]) == 4 and answer["limited"] is False
    post = searcher.post
    post("/user_directory/search", {}, expect=(400, "M_MISSING_PARAM"))
    post("/user_directory/search", {"search_term": 5}, expect=(400, "M_BAD_JSON"))
    post("/user_directory/search", {"search_term": "x", "limit": "5"}, expect=(400, "M_BAD_JSON"))
    post("/user_directory/search", {"search_term": "x", "limit": -1}, expect=(400, "M_BAD_JSON"))
    post("/user_directory/search", {"search_term": "x" * 5000}, expect=(400, "M_INVALID_PARAM"))
    post("/user_directory/search", {"search_term": "a\0b"}, expect=(400, "M_INVALID_PARAM"))
