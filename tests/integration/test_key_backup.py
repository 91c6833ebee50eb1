"""Backups of room keys: versions, sessions, and which of two is the better one."""

import pytest

from client import quote

ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
ROOM, OTHER_ROOM = "!room:localhost", "!other:localhost"


def session(index=0, forwarded=0, verified=False, **data):
    return {"first_message_index": index, "forwarded_count": forwarded, "is_verified": verified,
            "session_data": data or {"ciphertext": "c", "mac": "m", "ephemeral": "e"}}


@pytest.fixture
def version(user):
    return new_version(user)


def new_version(user):
    return user.post("/room_keys/version", {"algorithm": ALGORITHM, "auth_data": {"public_key": "x"}})["version"]


def put(user, version, sessions, room=ROOM, **more):
    return user.put(f"/room_keys/keys?version={version}", {"rooms": {room: {"sessions": sessions}}}, **more)


def get(user, version, *path, **more):
    parts = "".join("/" + quote(part) for part in path)
    return user.get(f"/room_keys/keys{parts}?version={version}", **more)


def test_versions(user):
    user.get("/room_keys/version", expect=(404, "M_NOT_FOUND"))
    first, second = new_version(user), new_version(user)
    assert first != second
    current = user.get("/room_keys/version")
    assert current == {"algorithm": ALGORITHM, "auth_data": {"public_key": "x"}, "count": 0, "etag": current["etag"],
                       "version": second}
    changed = {"algorithm": ALGORITHM, "auth_data": {"public_key": "y"}, "version": second}
    user.put(f"/room_keys/version/{second}", changed)
    assert user.get("/room_keys/version")["auth_data"] == {"public_key": "y"}
    user.put(f"/room_keys/version/{second}", {**changed, "algorithm": "m.other"}, expect=(400, "M_INVALID_PARAM"))
    user.put(f"/room_keys/version/{second}", {**changed, "version": first}, expect=(400, "M_INVALID_PARAM"))
    user.delete(f"/room_keys/version/{second}")
    user.get(f"/room_keys/version/{second}", expect=(404, "M_NOT_FOUND"))
    assert user.get("/room_keys/version")["version"] == first


def test_version_numbers_are_not_used_again(user):
    first = new_version(user)
    user.delete(f"/room_keys/version/{first}")
    assert new_version(user) != first


def test_sessions_by_all_paths(user, version):
    put(user, version, {"a": session(), "b": session(1)})
    user.put(f"/room_keys/keys/{quote(OTHER_ROOM)}?version={version}", {"sessions": {"c": session(2)}})
    answer = user.put(f"/room_keys/keys/{quote(OTHER_ROOM)}/d?version={version}", session(3))
    assert answer["count"] == 4
    rooms = get(user, version)["rooms"]
    assert {room: set(rooms[room]["sessions"]) for room in rooms} == {ROOM: {"a", "b"}, OTHER_ROOM: {"c", "d"}}
    assert get(user, version, ROOM)["sessions"]["b"] == session(1)
    assert get(user, version, OTHER_ROOM, "d") == session(3)
    assert get(user, version, "!none:localhost") == {"sessions": {}}
    get(user, version, ROOM, "none", expect=(404, "M_NOT_FOUND"))
    assert user.delete(f"/room_keys/keys/{quote(ROOM)}/a?version={version}")["count"] == 3
    assert user.delete(f"/room_keys/keys/{quote(OTHER_ROOM)}?version={version}")["count"] == 1
    assert user.delete(f"/room_keys/keys?version={version}")["count"] == 0


@pytest.mark.parametrize("held, offered, better", [
    (session(5, 2, False), session(5, 2, True), True),     # verified beats not verified
    (session(5, 2, True), session(0, 0, False), False),
    (session(5, 2), session(4, 9), True),                  # an earlier index
    (session(5, 2), session(6, 0), False),
    (session(5, 2), session(5, 1), True),                  # forwarded less often
    (session(5, 2), session(5, 2, x="other"), False),      # no better
])
def test_the_better_session_stays(user, version, held, offered, better):
    before = put(user, version, {"s": held})
    after = put(user, version, {"s": offered})
    assert get(user, version, ROOM, "s") == (offered if better else held)
    assert (after["etag"] != before["etag"]) == better


def test_only_the_current_version_takes_sessions(user, version):
    new = new_version(user)
    answer = put(user, version, {"s": session()}, expect=(403, "M_WRONG_ROOM_KEYS_VERSION"))
    assert answer["current_version"] == new


def test_a_backup_is_its_owners(user, other, version):
    put(user, version, {"s": session()})
    get(other, version, expect=(404, "M_NOT_FOUND"))
    put(other, version, {"s": session()}, expect=(404, "M_NOT_FOUND"))
    other.delete(f"/room_keys/version/{version}", expect=404)
    assert get(user, version, ROOM, "s") == session()


@pytest.mark.parametrize("data", [{"ciphertext": ""}, {"mac": "="}, {"ephemeral": "x"}, {"ciphertext": "A" * 1000000},
                                  {"ciphertext": "nul \0 and \U0001f511", "mac": 7, "deep": [[[{"x": None}]]]}])
def test_CVE_2021_44538_backups_are_opaque(user, version, data):
    """Nothing in a session is decoded: what is JSON is kept as it is."""
    put(user, version, {"s": session(**data)})
    assert get(user, version, ROOM, "s")["session_data"] == data


def test_CVE_2021_44538_opaque_texts(user):
    version = user.post("/room_keys/version", {"algorithm": ALGORITHM, "auth_data": "text"})["version"]
    assert user.get("/room_keys/version")["auth_data"] == "text"
    put(user, version, {"s": {**session(), "session_data": "anything"}})
    assert get(user, version, ROOM, "s")["session_data"] == "anything"


@pytest.mark.parametrize("bad", [
    {}, {**session(), "session_data": ["list"]}, {**session(), "session_data": 7}, {**session(), "first_message_index": -1},
    {**session(), "first_message_index": "0"}, {**session(), "forwarded_count": 1.5}, [], None])
def test_sessions_of_a_wrong_shape(user, version, bad):
    put(user, version, {"s": bad}, expect=(400, "M_BAD_JSON"))


@pytest.mark.parametrize("number", ["", "x", "-1", "1.5", "99999999999999999999", "1 "])
def test_versions_that_are_none(user, version, number):
    response = user.request("GET", "/room_keys/keys", params={"version": number})
    assert response.status_code in (400, 404), response.text
