"""Profiles, and the member events that they go into."""

import pytest

import machine
from accounts import member_content


def test_profile(node):
    user, other = node.new_user(), node.new_user()
    mine = f"/profile/{user.user_id}"
    assert user.get(mine) == {}
    user.get(mine + "/displayname", expect=(404, "M_NOT_FOUND"))
    user.put(mine + "/displayname", {"displayname": "Ada \U0001f980"})
    user.put(mine + "/avatar_url", {"avatar_url": "mxc://localhost/abc"})
    user.put(mine + "/m.tz", {"m.tz": "Europe/Berlin"})
    user.put(mine + "/org.example.things", {"org.example.things": {"a": [1, 2.5, None]}})
    assert node.client().get(mine + "/displayname") == {"displayname": "Ada \U0001f980"}
    assert other.get(mine) == {"displayname": "Ada \U0001f980", "avatar_url": "mxc://localhost/abc", "m.tz": "Europe/Berlin",
                               "org.example.things": {"a": [1, 2.5, None]}}
    user.delete(mine + "/org.example.things")
    user.delete(mine + "/org.example.things")
    user.put(mine + "/avatar_url", {"avatar_url": ""})
    assert other.get(mine) == {"displayname": "Ada \U0001f980", "m.tz": "Europe/Berlin"}
    node.client().get("/profile/@nobody:localhost", expect=(404, "M_NOT_FOUND"))
    node.client().get("/profile/nobody", expect=(400, "M_INVALID_PARAM"))
    node.client().get("/profile/@a:elsewhere.example", expect=(401, "M_MISSING_TOKEN"))


@pytest.mark.parametrize("key, value, expected", [
    ("displayname", 5, (400, "M_BAD_JSON")),
    ("displayname", "x" * 300, (400, "M_INVALID_PARAM")),
    ("avatar_url", "https://example.org/x.png", (400, "M_INVALID_PARAM")),
    ("avatar_url", ["mxc://a/b"], (400, "M_BAD_JSON")),
    ("nickname", "x", (400, "M_INVALID_PARAM")),
    ("Org.Example", "x", (400, "M_INVALID_PARAM")),
    ("org.example." + "x" * 250, "x", (400, "M_KEY_TOO_LARGE")),
    ("org.example.big", "x" * 66000, (400, "M_PROFILE_TOO_LARGE")),
])
def test_profile_bad_values(node, key, value, expected):
    user = node.new_user()
    user.put(f"/profile/{user.user_id}/{key}", {key: value}, expect=expected)
    assert user.get(f"/profile/{user.user_id}") == {}


def test_profile_has_one_limit_for_all(node):
    user = node.new_user()
    user.put(f"/profile/{user.user_id}/org.a", {"org.a": "x" * 40000})
    user.put(f"/profile/{user.user_id}/org.b", {"org.b": "x" * 30000}, expect=(400, "M_PROFILE_TOO_LARGE"))
    user.put(f"/profile/{user.user_id}/org.b", {"org.b": "x" * 20000})
    user.put(f"/profile/{user.user_id}/org.a", {"org.a": "x" * 45000})
    user.put(f"/profile/{user.user_id}/org.b", {}, expect=(400, "M_MISSING_PARAM"))


def test_profile_goes_into_member_events(node):
    user, other = node.new_user(), node.new_user()
    user.put(f"/profile/{user.user_id}/displayname", {"displayname": "First"})
    rooms = [other.create_room(preset="public_chat") for _ in range(2)]
    for room in rooms:
        user.join(room)
        assert member_content(other, room, user)["displayname"] == "First"
    user.put(f"/profile/{user.user_id}/displayname", {"displayname": "Second"})
    user.put(f"/profile/{user.user_id}/avatar_url", {"avatar_url": "mxc://localhost/picture"})
    expected = {"membership": "join", "displayname": "Second", "avatar_url": "mxc://localhost/picture"}
    for room in rooms:
        machine.wait_for(lambda: member_content(other, room, user) == expected, what="the new profile")
    # Many changes at once: the last one stays.
    for i in range(20):
        user.put(f"/profile/{user.user_id}/displayname", {"displayname": f"Name {i}"})
    user.delete(f"/profile/{user.user_id}/avatar_url")
    for room in rooms:
        machine.wait_for(lambda: member_content(other, room, user) == {"membership": "join", "displayname": "Name 19"},
                         what="the last name")


def test_profile_is_not_told_where_the_user_is_not(node):
    user, other = node.new_user(), node.new_user()
    inside, left = [other.create_room(preset="public_chat") for _ in range(2)]
    for room in (inside, left):
        user.join(room)
    user.leave(left)
    user.put(f"/profile/{user.user_id}/displayname", {"displayname": "New"})
    machine.wait_for(lambda: member_content(other, inside, user).get("displayname") == "New", what="the new name")
    assert member_content(other, left, user)["membership"] == "leave"
