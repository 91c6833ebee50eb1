"""User-interactive authentication, and the changes of passwords that it guards."""

import pytest

from accounts import login, new_name, proof


GUARDED = [
    ("POST", "/account/password", {"new_password": "another"}),
    ("POST", "/account/deactivate", {}),
    ("DELETE", "/devices/NONE", {}),
    ("POST", "/delete_devices", {"devices": ["NONE"]}),
    ("POST", "/_matrix/client/v1/login/get_token", {}),
]


@pytest.mark.parametrize("method, path, body", GUARDED)
def test_CVE_2025_62425_uia_bypass(node, method, path, body):
    user, eve = node.new_user(), node.new_user("eve")
    challenge = user.call(method, path, body, expect=401)
    session = challenge["session"]
    assert challenge["flows"] == [{"stages": ["m.login.password"]}] and challenge["params"] == {}

    def attempt(auth, expect=401, content=body):
        return user.call(method, path, {**content, "auth": auth}, expect=expect)

    attempt({})
    attempt({"session": session})
    attempt({"type": "m.login.dummy", "session": session})
    attempt({"type": "m.login.dummy"})
    assert attempt(proof(user, "wrong"), (401, "M_FORBIDDEN"))["completed"] == []
    attempt({**proof(user), "password": ""}, (401, "M_FORBIDDEN"))
    attempt(proof(eve), (403, "M_FORBIDDEN"))
    # A session of another operation, of another body, of another user, or made up.
    for other in GUARDED:
        if other[1] != path:
            attempt({**proof(user), "session": user.call(*other, expect=401)["session"]})
    attempt({**proof(user), "session": user.call(method, path, {**body, "more": 1}, expect=401)["session"]})
    attempt({**proof(user), "session": eve.call(method, path, body, expect=401)["session"]})
    attempt({**proof(user), "session": "made-up"})
    attempt({**proof(user), "session": session[:-2]})
    user.get("/account/whoami")
    login(node, user.user_id)
    attempt({**proof(user), "session": session}, 200)


def test_deactivation_may_say_more_with_the_proof(node):
    """Clients ask with an empty body first; what they wanted comes with the proof, which covers it."""
    user = node.new_user()
    session = user.post("/account/deactivate", {}, expect=401)["session"]
    user.post("/account/deactivate", {"erase": True, "auth": {**proof(user), "password": "wrong", "session": session}}, expect=(401, "M_FORBIDDEN"))
    user.post("/account/deactivate", {"erase": True, "auth": {**proof(user), "session": session}})
    assert node.sql(f"SELECT erased FROM account WHERE user_id = '{user.user_id}'") == "t\n"


def test_CVE_2025_62425_finished_session_proves_nothing(node):
    user = node.new_user()
    session = user.delete("/devices/A", {}, expect=401)["session"]
    user.delete("/devices/A", {"auth": {**proof(user), "session": session}})
    user.delete("/devices/A", {"auth": {"session": session}}, expect=401)
    user.delete("/devices/A", {"auth": {"type": "m.login.password", "session": session}}, expect=400)


def test_CVE_2023_41335_no_password_in_an_unfinished_session(node):
    user = node.client(new_name(), password="the-old-secret-phrase")
    session = user.post("/account/password", {"new_password": "the-new-secret-phrase"}, expect=401)["session"]
    user.post("/account/password", {"new_password": "the-new-secret-phrase",
                                    "auth": {**proof(user, "a-mistyped-secret-phrase"), "session": session}}, expect=401)
    tables = node.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").split()
    assert "account" in tables
    stored = "".join(node.sql(f'SELECT * FROM "{table}"') for table in tables)
    assert user.user_id in stored
    assert "secret-phrase" not in stored
    assert "secret-phrase" not in node.log_text()


def test_GHSA_v2x6_account_takeover(node):
    """Naming another user anywhere does not make one act for that user."""
    user, eve = node.new_user(), node.new_user("eve")
    forbidden = (403, "M_FORBIDDEN")
    eve.put(f"/profile/{user.user_id}/displayname", {"displayname": "x"}, expect=forbidden)
    eve.delete(f"/profile/{user.user_id}/displayname", expect=forbidden)
    eve.post(f"/user/{user.user_id}/openid/request_token", expect=forbidden)
    eve.get(f"/devices/{user.device_id}", expect=404)
    eve.put(f"/devices/{user.device_id}", {"display_name": "x"}, expect=404)
    eve.delete(f"/devices/{user.device_id}", {"auth": proof(eve)})
    eve.post("/delete_devices", {"devices": [user.device_id], "user_id": user.user_id, "auth": proof(eve)})
    eve.post("/account/password", {"new_password": "x", "user_id": user.user_id, "username": user.user_id,
                                   "auth": proof(user)}, expect=forbidden)
    eve.post("/account/password?user_id=" + user.user_id, {"new_password": "new", "user": user.user_id, "auth": proof(eve)})
    assert eve.get("/account/whoami", params={"user_id": user.user_id})["user_id"] == eve.user_id
    eve.post("/logout/all", {"user_id": user.user_id})
    user.get("/account/whoami")
    login(node, user.user_id)


# Passwords


def test_password_change_can_keep_the_other_devices(node):
    user = node.new_user()
    other = user.another_device()
    user.post("/account/password", {"new_password": "new", "logout_devices": False, "auth": proof(user)})
    other.get("/account/whoami")
    login(node, user.user_id, user.password, expect=(403, "M_FORBIDDEN"))
    login(node, user.user_id, "new")


def test_password_change_bad_bodies(node):
    user = node.new_user()
    user.post("/account/password", {"auth": proof(user)}, expect=(400, "M_MISSING_PARAM"))
    user.post("/account/password", {"auth": proof(user), "new_password": 5}, expect=(400, "M_BAD_JSON"))
    user.post("/account/password", {"auth": proof(user), "new_password": ""}, expect=(400, "M_INVALID_PARAM"))
    login(node, user.user_id)
