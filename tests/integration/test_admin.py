"""What administrators may do, and nobody else."""

import hashlib
import hmac
import time

import pytest

LIST = "/_synapse/admin/v2/users"


def user_path(user):
    return f"{LIST}/{getattr(user, 'user_id', user)}"


def lock_path(user):
    return f"/_matrix/client/v1/admin/lock/{getattr(user, 'user_id', user)}"


def suspend_path(user):
    return f"/_matrix/client/v1/admin/suspend/{getattr(user, 'user_id', user)}"


def make_admin(node):
    register = "/_synapse/admin/v1/register"
    name = f"admin{time.monotonic_ns()}"
    nonce = node.client().get(register)["nonce"]
    mac = hmac.new(b"registration secret", "\0".join([nonce, name, "pass", "admin"]).encode(), hashlib.sha1).hexdigest()
    answer = node.client().post(register, {"nonce": nonce, "username": name, "password": "pass", "admin": True, "mac": mac})
    client = node.client()
    client.user_id, client.token, client.device_id, client.password = \
        answer["user_id"], answer["access_token"], answer["device_id"], "pass"
    return client


@pytest.fixture
def admin(node):
    return make_admin(node)


def login(node, user, password, *, expect=200):
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password}
    return node.client().post("/login", body, expect=expect)


def test_GHSA_v2x6_account_takeover_by_the_admin_api(node, admin, user, other):
    """Others learn and change nothing, whether the account is there or not."""
    forbidden = (403, "M_FORBIDDEN")
    for target in (user, "@nobody:localhost", "@a:elsewhere"):
        other.get(user_path(target), expect=forbidden)
        other.put(user_path(target), {"password": "stolen", "admin": True}, expect=forbidden)
        other.get(lock_path(target), expect=forbidden)
        other.put(lock_path(target), {"locked": True}, expect=forbidden)
        other.put(suspend_path(target), {"suspended": True}, expect=forbidden)
        name = getattr(target, "user_id", target)
        other.post(f"/_synapse/admin/v1/deactivate/{name}", expect=forbidden)
        other.post(f"/_synapse/admin/v1/reset_password/{name}", {"new_password": "stolen"}, expect=forbidden)
        other.get(f"/admin/whois/{name}", expect=forbidden)
        node.client().get(user_path(target), expect=(401, "M_MISSING_TOKEN"))
    other.put(user_path(other), {"admin": True}, expect=forbidden)
    other.get(LIST, expect=forbidden)
    login(node, user.user_id, user.password)


def test_admin_api_is_on_admin_listeners_only(authority):
    from node import Node
    node = Node("listeners.localhost", tls=authority.issue("listeners.localhost"), ca=authority.ca).start()
    try:
        client = node.client()
        client.base = node.federation_url
        client.get("/_synapse/admin/v1/register", expect=(404, "M_UNRECOGNIZED"))
        client.get(LIST, expect=(404, "M_UNRECOGNIZED"))
        client.get("/_matrix/client/versions")
    finally:
        assert node.stop() == 0
        node.remove()


def test_make_and_change(node, admin):
    name = f"@made{time.monotonic_ns()}:localhost"
    admin.get(user_path(name), expect=(404, "M_NOT_FOUND"))
    made = admin.put(user_path(name), {"password": "first", "displayname": "Made"}, expect=201)
    assert made["name"] == name and made["admin"] is False and made["deactivated"] is False
    first = login(node, name, "first")["access_token"]
    assert admin.get(f"/profile/{name}/displayname") == {"displayname": "Made"}
    changed = admin.put(user_path(name), {"password": "second", "displayname": "Remade", "admin": True})
    assert changed["admin"] is True
    node.client().get("/account/whoami", token=first, expect=(401, "M_UNKNOWN_TOKEN"))
    login(node, name, "first", expect=(403, "M_FORBIDDEN"))
    second = login(node, name, "second")["access_token"]
    assert node.client().get(user_path(name), token=second)["name"] == name
    admin.put(user_path(name), {"admin": False})
    node.client().get(user_path(name), token=second, expect=(403, "M_FORBIDDEN"))
    assert admin.get(f"/profile/{name}/displayname") == {"displayname": "Remade"}


def test_bad_changes(admin, user):
    admin.put(user_path("@a:elsewhere"), {"password": "x"}, expect=(400, "M_INVALID_PARAM"))
    admin.put(user_path("@Not a name:localhost"), {"password": "x"}, expect=(400, "M_INVALID_USERNAME"))
    admin.put(user_path(user), {"password": 5}, expect=(400, "M_BAD_JSON"))
    admin.put(user_path(user), {"admin": "yes"}, expect=(400, "M_BAD_JSON"))
    for harm in ({"admin": False}, {"deactivated": True}, {"locked": True}, {"suspended": True}):
        admin.put(user_path(admin), harm, expect=(403, "M_FORBIDDEN"))
    admin.post(f"/_synapse/admin/v1/deactivate/{admin.user_id}", expect=(403, "M_FORBIDDEN"))
    assert admin.get(user_path(admin))["admin"] is True


def test_list(admin, user):
    names, page = [], {}
    while not names or "next_token" in page:
        page = admin.get(LIST, params={"limit": 3, "from": page.get("next_token", "")})
        names += [account["name"] for account in page["users"]]
    assert names == sorted(names) and len(set(names)) == len(names)
    assert {user.user_id, admin.user_id} <= set(names)
    admin.get(LIST, params={"limit": "many"}, expect=(400, "M_INVALID_PARAM"))


def test_CVE_2023_32682_deactivated_by_an_administrator(node, admin, user):
    admin.post(f"/_synapse/admin/v1/deactivate/{user.user_id}", {"erase": True})
    user.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    account = admin.get(user_path(user))
    assert account["deactivated"] is True and account["erased"] is True
    admin.post(f"/_synapse/admin/v1/reset_password/{user.user_id}", {"new_password": "x"}, expect=(404, "M_NOT_FOUND"))
    admin.put(user_path(user), {"password": "x"}, expect=(403, "M_FORBIDDEN"))
    admin.put(lock_path(user), {"locked": False}, expect=(404, "M_NOT_FOUND"))
    for password in (user.password, "x"):
        login(node, user.user_id, password, expect=(403, "M_FORBIDDEN"))


def test_reset_password(node, admin, user):
    admin.post(f"/_synapse/admin/v1/reset_password/{user.user_id}", {"new_password": "new", "logout_devices": False})
    user.get("/account/whoami")
    login(node, user.user_id, "new")
    admin.post(f"/_synapse/admin/v1/reset_password/{user.user_id}", {"new_password": "newer"})
    user.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    admin.post(f"/_synapse/admin/v1/reset_password/{user.user_id}", {}, expect=(400, "M_MISSING_PARAM"))


def test_whois(admin, user):
    for asker in (admin, user):
        answer = asker.get(f"/admin/whois/{user.user_id}")
        assert answer["user_id"] == user.user_id and user.device_id in answer["devices"]


def test_lock(node, admin, user):
    assert admin.get(lock_path(user)) == {"locked": False}
    user.get("/account/whoami")
    assert admin.put(lock_path(user), {"locked": True}) == {"locked": True}
    assert user.get("/account/whoami", expect=(401, "M_USER_LOCKED"))["soft_logout"] is True
    login(node, user.user_id, user.password, expect=(401, "M_USER_LOCKED"))
    assert admin.get(lock_path(user)) == {"locked": True}
    admin.put(lock_path(user), {"locked": False})
    user.get("/account/whoami")
    admin.put(lock_path(user), {}, expect=(400, "M_MISSING_PARAM"))
    admin.put(lock_path(admin), {"locked": True}, expect=(403, "M_FORBIDDEN"))
    admin.get(lock_path("@a:elsewhere"), expect=(400, "M_INVALID_PARAM"))
    admin.get(lock_path("@nobody:localhost"), expect=(404, "M_NOT_FOUND"))


def test_suspended_moderator_redacts_own_events_only(node, admin, user, other):
    room = user.create_room(preset="public_chat")
    other.join(room)
    own, others, second = user.send(room, "mine"), other.send(room, "not mine"), other.send(room, "nor this")
    user.put(f"/rooms/{room}/redact/{second}/before", {})
    admin.put(suspend_path(user), {"suspended": True})
    suspended = (403, "M_USER_SUSPENDED")
    user.put(f"/rooms/{room}/redact/{others}/1", {}, expect=suspended)
    user.put(f"/rooms/{room}/redact/$nobody-knows/1", {}, expect=suspended)
    user.put(f"/rooms/{room}/send/m.room.redaction/1", {"redacts": others}, expect=suspended)
    user.post(f"/rooms/{room}/redact/{others}", {}, expect=suspended)
    user.put(f"/rooms/{room}/redact/{own}/1", {"reason": "sorry"})
    assert other.event(room, own)["content"] == {} and other.event(room, others)["content"]["body"] == "not mine"
    admin.put(suspend_path(user), {"suspended": False})
    user.put(f"/rooms/{room}/redact/{others}/1", {})
    assert other.event(room, others)["content"] == {}


def test_suspended_keeps_keys_and_devices_in_order(node, admin, user):
    """What "Account suspension" recommends to permit: backing keys up, signing in, ending any device."""
    phone, laptop = user.another_device(), user.another_device()
    admin.put(suspend_path(user), {"suspended": True})
    backup = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "x"}}
    version = user.post("/room_keys/version", backup)["version"]
    user.put(f"/room_keys/version/{version}", {**backup, "auth_data": {"public_key": "y"}})
    session = {"first_message_index": 0, "forwarded_count": 0, "is_verified": True, "session_data": {"ciphertext": "c"}}
    sessions = {"sessions": {"s": session}}
    for path, body in (("", {"rooms": {"!r:localhost": sessions}}), ("/!r:localhost", sessions), ("/!r:localhost/s", session)):
        assert user.put(f"/room_keys/keys{path}?version={version}", body)["count"] == 1
    user.delete(f"/room_keys/version/{version}", expect=(403, "M_USER_SUSPENDED"))

    tablet = user.another_device()
    tablet.put(f"/profile/{user.user_id}/displayname", {"displayname": "x"}, expect=(403, "M_USER_SUSPENDED"))
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id}, "password": user.password}
    user.put(f"/devices/{phone.device_id}", {"display_name": "x"}, expect=(403, "M_USER_SUSPENDED"))
    user.delete(f"/devices/{phone.device_id}", {"auth": auth})
    user.post("/delete_devices", {"devices": [laptop.device_id], "auth": auth})
    for gone in (phone, laptop):
        gone.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    tablet.post("/logout")


def test_suspend(node, admin, user, other):
    room = other.create_room(preset="public_chat")
    second = other.create_room(preset="public_chat")
    user.join(room)
    assert admin.put(suspend_path(user), {"suspended": True}) == {"suspended": True}
    suspended = (403, "M_USER_SUSPENDED")
    user.get("/account/whoami")
    user.get("/joined_rooms")
    user.put(f"/rooms/{room}/send/m.room.message/1", {"msgtype": "m.text", "body": "x"}, expect=suspended)
    # A path that ends like an allowed one is not one.
    user.put(f"/rooms/{room}/send/m.room.message/leave", {"msgtype": "m.text", "body": "x"}, expect=suspended)
    user.post(f"/join/{second}", expect=suspended)
    user.post("/createRoom", expect=suspended)
    user.put(f"/profile/{user.user_id}/displayname", {"displayname": "x"}, expect=suspended)
    user.leave(room)
    # Both at once, and each taken back alone.
    admin.put(lock_path(user), {"locked": True})
    user.get("/joined_rooms", expect=(401, "M_USER_LOCKED"))
    admin.put(lock_path(user), {"locked": False})
    assert admin.get(suspend_path(user)) == {"suspended": True}
    admin.put(suspend_path(user), {"suspended": False})
    user.join(second)


def test_moderation_is_told_to_who_may(admin, user):
    """Client-server API, "m.account_moderation capability": left out for everybody else."""
    assert admin.get("/capabilities")["capabilities"]["m.account_moderation"] == {"suspend": True, "lock": True}
    assert "m.account_moderation" not in user.get("/capabilities")["capabilities"]
