"""POST /createRoom: what a new room is made of."""

import pytest

VERSIONS = ("10", "11", "12")


def state_of(client, room):
    from urllib.parse import quote
    return client.get(f"/rooms/{quote(room)}/state")


def test_events_come_in_the_order_of_the_specification(user, other):
    room = user.create_room(room_version="11", name="name", topic="topic", preset="private_chat", invite=[other.user_id],
                            initial_state=[{"type": "org.example", "state_key": "", "content": {"a": 1}}])
    events = user.messages(room, dir="f", limit=50)["chunk"]
    assert [event["type"] for event in events] == [
        "m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility",
        "m.room.guest_access", "org.example", "m.room.name", "m.room.topic", "m.room.member"]
    assert events[0]["content"] == {"room_version": "11"}
    assert events[-1]["content"]["membership"] == "invite" and events[-1]["state_key"] == other.user_id


@pytest.mark.parametrize("preset, join_rule, guests", [
    ("private_chat", "invite", "can_join"),
    ("trusted_private_chat", "invite", "can_join"),
    ("public_chat", "public", "forbidden"),
])
def test_presets(user, preset, join_rule, guests):
    room = user.create_room(preset=preset)
    assert user.state(room, "m.room.join_rules")["join_rule"] == join_rule
    assert user.state(room, "m.room.guest_access")["guest_access"] == guests
    assert user.state(room, "m.room.history_visibility")["history_visibility"] == "shared"


def test_visibility_chooses_the_preset(user):
    room = user.create_room(visibility="public")
    assert user.state(room, "m.room.join_rules")["join_rule"] == "public"
    assert user.state(user.create_room(), "m.room.join_rules")["join_rule"] == "invite"


@pytest.mark.parametrize("version", VERSIONS)
def test_create_event_of_each_version(user, version):
    room = user.create_room(room_version=version, creation_content={"m.federate": False, "creator": "@x:y", "room_version": "1"})
    content = user.state(room, "m.room.create")
    assert content["room_version"] == version and content["m.federate"] is False
    assert content.get("creator") == (user.user_id if version == "10" else None)
    assert (":" in room) == (version != "12")


def test_version_12_has_no_creators_among_the_levels(user, other):
    room = user.create_room(room_version="12", preset="trusted_private_chat", invite=[other.user_id])
    levels = user.state(room, "m.room.power_levels")
    assert user.user_id not in levels["users"] and other.user_id not in levels["users"]
    assert user.state(room, "m.room.create")["additional_creators"] == [other.user_id]
    assert levels["events"]["m.room.tombstone"] > levels["state_default"]


def test_trusted_get_the_creators_power_before_version_12(user, other):
    room = user.create_room(room_version="11", preset="trusted_private_chat", invite=[other.user_id])
    assert user.state(room, "m.room.power_levels")["users"] == {user.user_id: 100, other.user_id: 100}


def test_power_levels_can_be_overridden(user):
    room = user.create_room(room_version="11", power_level_content_override={"events": {"m.room.name": 0}, "kick": 75})
    levels = user.state(room, "m.room.power_levels")
    assert levels["events"] == {"m.room.name": 0} and levels["kick"] == 75 and levels["ban"] == 50


@pytest.mark.parametrize("override, level", [
    ({}, 150),
    ({"events": {"m.room.name": 0}}, 150),
    ({"state_default": 200}, 201),
    ({"state_default": 200, "events": {}}, 201),
    ({"state_default": 2**53 - 1}, 2**53 - 1),
    ({"events": {"m.room.tombstone": 50}}, 50),
])
def test_upgrades_stay_with_the_creators(user, override, level):
    room = user.create_room(room_version="12", power_level_content_override=override)
    assert user.state(room, "m.room.power_levels")["events"]["m.room.tombstone"] == level


def test_events_that_the_rules_refuse(user):
    """rooms/v12: creators have no level of their own."""
    body = {"room_version": "12", "power_level_content_override": {"users": {user.user_id: 100}}}
    user.post("/createRoom", body, expect=(400, "M_INVALID_ROOM_STATE"))


def test_initial_state_wins_over_the_preset(user):
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room = user.create_room(preset="public_chat", initial_state=[rules])
    assert user.state(room, "m.room.join_rules") == {"join_rule": "knock"}


def test_alias_is_made_with_the_room(user):
    localpart = "made" + user.user_id[1:].split(":")[0]
    room = user.create_room(room_alias_name=localpart, visibility="public")
    alias = f"#{localpart}:localhost"
    assert user.state(room, "m.room.canonical_alias")["alias"] == alias
    user.post("/createRoom", {"room_alias_name": localpart}, expect=(400, "M_ROOM_IN_USE"))


def test_is_direct_marks_the_invite(user, other):
    room = user.create_room(is_direct=True, invite=[other.user_id])
    assert user.state(room, "m.room.member", other.user_id)["is_direct"] is True


@pytest.mark.parametrize("body, errcode", [
    ({"room_version": "1.5"}, "M_UNSUPPORTED_ROOM_VERSION"),
    ({"room_version": 1}, "M_BAD_JSON"),
    ({"preset": "cosy"}, "M_BAD_JSON"),
    ({"visibility": "secret"}, "M_BAD_JSON"),
    ({"invite": ["nobody"]}, "M_INVALID_PARAM"),
    ({"invite": "@a:b"}, "M_BAD_JSON"),
    ({"room_alias_name": "a:b"}, "M_INVALID_PARAM"),
    ({"room_alias_name": "a" * 300}, "M_INVALID_PARAM"),
    ({"name": "a\0b"}, "M_BAD_JSON"),
    ({"initial_state": [{"type": "a"}]}, "M_BAD_JSON"),
    ({"creation_content": []}, "M_BAD_JSON"),
    ({"creation_content": {"additional_creators": ["me"]}}, "M_INVALID_PARAM"),
])
def test_bad_bodies(user, body, errcode):
    user.post("/createRoom", body, expect=(400, errcode))


def test_invite_by_mail_is_refused(user):
    user.post("/createRoom", {"invite_3pid": [{"medium": "email"}]}, expect=(403, "M_FORBIDDEN"))


@pytest.mark.slow
def test_encrypt_by_default(make_node):
    node = make_node("encrypted.localhost", {"rooms": {"encrypt_by_default": True}}).start()
    user = node.new_user()
    assert user.state(user.create_room(), "m.room.encryption")["algorithm"] == "m.megolm.v1.aes-sha2"
