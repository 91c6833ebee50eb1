"""POST /rooms/{roomId}/upgrade."""

from client import quote
from machine import wait_for
import pytest


def upgrade(user, room, version, expect=200, **more):
    return user.post(f"/rooms/{quote(room)}/upgrade", {"new_version": version, **more}, expect=expect)


@pytest.mark.parametrize("old, new", [("10", "11"), ("11", "12"), ("12", "12"), ("12", "11")])
def test_upgrade(user, other, node, old, new):
    name = "up" + user.user_id[1:].split(":")[0]
    room = user.create_room(room_version=old, preset="public_chat", visibility="public", name="name", topic="topic", room_alias_name=name,
                            creation_content={"type": "org.example", "m.federate": False})
    other.join(room)
    banned = node.new_user()
    user.post(f"/rooms/{quote(room)}/ban", {"user_id": banned.user_id})
    acl = {"allow": ["*"], "deny": ["evil.example"]}
    user.set_state(room, "m.room.server_acl", acl)
    last = user.send(room, "last words")
    levels = user.state(room, "m.room.power_levels")

    replacement = upgrade(user, room, new)["replacement_room"]

    create = user.state(replacement, "m.room.create")
    assert create["room_version"] == new and create["type"] == "org.example" and create["m.federate"] is False
    assert create["predecessor"] == {"room_id": room, "event_id": last}
    assert user.state(room, "m.room.tombstone")["replacement_room"] == replacement
    for kind, content in (("m.room.name", {"name": "name"}), ("m.room.server_acl", acl), ("m.room.join_rules", {"join_rule": "public"})):
        assert user.state(replacement, kind) == content
    assert user.state(replacement, "m.room.topic")["topic"] == "topic"
    assert user.state(replacement, "m.room.member", banned.user_id)["membership"] == "ban"
    taken_over = user.state(replacement, "m.room.power_levels")
    assert {key: value for key, value in taken_over.items() if key != "users"} == {key: value for key, value in levels.items() if key != "users"}
    assert taken_over["users"] == ({} if new == "12" else {user.user_id: 100})

    alias = f"#{name}:localhost"
    assert user.get(f"/directory/room/{quote(alias)}")["room_id"] == replacement
    assert user.state(replacement, "m.room.canonical_alias")["alias"] == alias
    assert user.state(room, "m.room.canonical_alias") == {}
    assert user.get(f"/directory/list/room/{quote(room)}")["visibility"] == "private"
    assert user.get(f"/directory/list/room/{quote(replacement)}")["visibility"] == "public"
    closed = user.state(room, "m.room.power_levels")
    assert closed["events_default"] == 50 and closed["invite"] == 50
    other.put(f"/rooms/{quote(room)}/send/m/1", expect=(403, "M_FORBIDDEN"))
    other.join(replacement)


def test_additional_creators(user, other):
    room = user.create_room(room_version="11")
    replacement = upgrade(user, room, "12", additional_creators=[other.user_id])["replacement_room"]
    assert user.state(replacement, "m.room.create")["additional_creators"] == [other.user_id]
    upgrade(user, user.create_room(), "12", expect=(400, "M_INVALID_PARAM"), additional_creators=["me"])


def test_who_may_upgrade(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    upgrade(other, room, "12", expect=(403, "M_FORBIDDEN"))
    upgrade(user, room, "nonsense", expect=(400, "M_UNSUPPORTED_ROOM_VERSION"))
    upgrade(user, "!none:localhost", "12", expect=(403, "M_FORBIDDEN"))
    user.post(f"/rooms/{quote(room)}/upgrade", {}, expect=(400, "M_MISSING_PARAM"))


# What people keep with a room

def keep(person, room, friend="@friend:localhost"):
    """A tag, a rule of its own, a mute as clients write it, and that it is a conversation of two."""
    person.put(f"/user/{person.user_id}/rooms/{quote(room)}/tags/m.favourite", {"order": 0.5})
    person.put(f"/user/{person.user_id}/account_data/m.direct", {friend: ["!another:localhost", room]})
    person.put(f"/pushrules/global/room/{quote(room)}", {"actions": ["notify"]})
    person.put(f"/pushrules/global/override/{quote(room)}",
               {"conditions": [{"kind": "event_match", "key": "room_id", "pattern": room}], "actions": []})


def kept(person, room):
    tags = person.get(f"/user/{person.user_id}/rooms/{quote(room)}/tags")["tags"]
    rules = person.get("/pushrules/")["global"]
    direct = person.get(f"/user/{person.user_id}/account_data/m.direct")
    return (tags,
            [rule["actions"] for rule in rules["room"] if rule["rule_id"] == room],
            [rule["conditions"] for rule in rules["override"] if rule["rule_id"] == room],
            [friend for friend, rooms in direct.items() if room in rooms])


def test_what_people_keep_with_a_room_follows_them(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    for person in (user, other):
        keep(person, room)
    replacement = upgrade(user, room, "12")["replacement_room"]
    everything = ({"m.favourite": {"order": 0.5}}, [["notify"]],
                  [[{"kind": "event_match", "key": "room_id", "pattern": replacement}]], ["@friend:localhost"])
    assert kept(user, replacement) == everything
    assert kept(other, replacement) == ({}, [], [], [])
    other.join(replacement)
    wait_for(lambda: kept(other, replacement) == everything, 5, what="what was kept")
    assert kept(other, room)[3] == ["@friend:localhost"]


def test_what_is_kept_with_the_new_room_stays(user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    keep(other, room)
    replacement = upgrade(user, room, "12")["replacement_room"]
    other.put(f"/user/{other.user_id}/rooms/{quote(replacement)}/tags/u.mine", {})
    other.join(replacement)
    wait_for(lambda: kept(other, replacement)[3], 5, what="what was kept")
    assert kept(other, replacement)[0] == {"u.mine": {}}


def test_who_claims_to_replace_a_room_gets_nothing_of_it(user, other, node):
    room = other.create_room(preset="public_chat")
    keep(other, room)
    false = user.create_room(preset="public_chat", creation_content={"predecessor": {"room_id": room, "event_id": "$x"}})
    other.join(false)
    # Of a later room everything is there: the claim was looked at before it.
    true = upgrade(other, room, "12")["replacement_room"]
    assert kept(other, true)[1]
    assert kept(other, false) == ({}, [], [], [])
