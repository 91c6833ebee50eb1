"""Accounts: registration, sign-in and sign-out, tokens, passwords."""

import hashlib
import hmac
import itertools
import threading
import time

import pytest

import machine

SECRET = "registration secret"
_names = itertools.count(1)


def new_name(prefix="name"):
    return f"{prefix}{next(_names)}-{time.monotonic_ns() % 100000}"


def login(node, user, password="correct horse", *, expect=200, headers=None, **more):
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password, **more}
    return node.client().post("/login", body, expect=expect, headers=headers)


def signed_in(node, answer):
    client = node.client()
    client.user_id, client.token, client.device_id = answer["user_id"], answer["access_token"], answer["device_id"]
    return client


def proof(user, password=None):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id},
            "password": password or user.password}


# Registration


def test_register_login_whoami_logout(node):
    user = node.new_user()
    assert user.get("/account/whoami") == {"user_id": user.user_id, "device_id": user.device_id, "is_guest": False}
    again = user.another_device()
    assert again.device_id != user.device_id
    again.post("/logout")
    again.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    user.get("/account/whoami")


def test_register_asks_for_dummy(node):
    answer = node.client().post("/register", {}, expect=401)
    assert {"stages": ["m.login.dummy"]} in answer["flows"]
    assert answer["session"]


def test_register_within_a_session(node):
    body = {"username": new_name(), "password": "x"}
    session = node.client().post("/register", body, expect=401)["session"]
    node.client().post("/register", {**body, "auth": {"type": "m.login.dummy", "session": session}})


def test_registration_remembers_and_can_be_repeated(node):
    """A client may finish with nothing but "auth", and ask again when the answer was lost; nobody else can by another session."""
    post = node.client().post
    name = new_name()
    body = {"username": name, "password": "übers3kr1t", "device_id": "xyzzy", "initial_device_display_name": "shown"}
    session = post("/register", body, expect=401)["session"]
    auth = {"auth": {"type": "m.login.dummy", "session": session}}
    first = signed_in(node, post("/register", auth))
    assert first.user_id == f"@{name}:localhost" and first.get("/devices/xyzzy")["display_name"] == "shown"
    again = signed_in(node, post("/register", {**body, **auth}))
    assert again.user_id == first.user_id
    login(node, name, "übers3kr1t")
    # Another session, even with the same words, is another registration.
    post("/register", body, expect=(400, "M_USER_IN_USE"))
    # Once the password is another one, the session opens nothing.
    again.password = "übers3kr1t"
    again.post("/account/password", {"new_password": "new", "auth": proof(again)})
    post("/register", auth, expect=(400, "M_USER_IN_USE"))
    # Who asked for no name keeps the one that was found.
    session = post("/register", {"password": "x"}, expect=401)["session"]
    auth = {"auth": {"type": "m.login.dummy", "session": session}}
    assert post("/register", {"password": "x", **auth})["user_id"] == post("/register", {"password": "x", **auth})["user_id"]
    # Who asks with nothing first, to learn what is wanted, says all with the proof.
    session = post("/register", {}, expect=401)["session"]
    auth = {"auth": {"type": "m.login.dummy", "session": session}}
    name = new_name()
    assert post("/register", {"username": name, "password": "x", **auth})["user_id"] == f"@{name}:localhost"
    post("/register", auth, expect=(400, "M_MISSING_PARAM"))
    # The session of one body is not good for another.
    session = post("/register", {"password": "x"}, expect=401)["session"]
    auth = {"auth": {"type": "m.login.dummy", "session": session}}
    post("/register", {"password": "y", **auth}, expect=401)
    session = post("/register", {"username": new_name(), "password": "x", "inhibit_login": True}, expect=401)["session"]
    answer = post("/register", {"auth": {"type": "m.login.dummy", "session": session}})
    assert "access_token" not in answer and "device_id" not in answer


def test_register_keeps_device_and_inhibits_login(node):
    name = new_name()
    body = {"username": name, "password": "x", "auth": {"type": "m.login.dummy"}}
    answer = node.client().post("/register", {**body, "inhibit_login": True})
    assert answer["user_id"] == f"@{name}:localhost" and "access_token" not in answer and "device_id" not in answer
    answer = node.client().post("/register", {**body, "username": new_name(), "device_id": "MINE"})
    assert answer["device_id"] == "MINE"


def test_register_without_a_name_gets_one(node):
    answer = node.client().post("/register", {"password": "x", "auth": {"type": "m.login.dummy"}})
    assert answer["user_id"].endswith(":localhost")


@pytest.mark.parametrize("body, expected", [
    ({"username": 5}, (400, "M_BAD_JSON")),
    ({"username": "fine", "password": ["x"]}, (400, "M_BAD_JSON")),
    ({"username": "fine", "password": "x", "device_id": 5}, (400, "M_BAD_JSON")),
    ({"username": "fine", "password": "x", "inhibit_login": "yes"}, (400, "M_BAD_JSON")),
    ({"username": "fine", "password": "x", "auth": "m.login.dummy"}, (400, "M_BAD_JSON")),
    ({"username": "fine", "auth": {"type": "m.login.dummy"}}, (400, "M_MISSING_PARAM")),
    ({"username": "fine", "password": "", "auth": {"type": "m.login.dummy"}}, (400, "M_INVALID_PARAM")),
])
def test_register_bad_bodies(node, body, expected):
    node.client().post("/register", body, expect=expected)


def test_kind_of_account(node):
    node.client().post("/register?kind=robot", {}, expect=(400, "M_INVALID_PARAM"))


def test_guest(node):
    answer = node.client().post("/register?kind=guest", {"device_id": "IGNORED"})
    assert answer["device_id"] != "IGNORED"
    guest = signed_in(node, answer)
    assert guest.get("/account/whoami")["is_guest"] is True
    guest.get("/account/3pid", expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))


def test_a_guest_settles_down(node):
    guest, stranger = (signed_in(node, node.client().post("/register?kind=guest", {})) for _ in range(2))
    body = {"username": guest.user_id[1:].split(":")[0], "password": "correct horse", "auth": {"type": "m.login.dummy"}}

    def register(expect=200, **more):
        return node.client().post("/register", {**body, **more}, expect=expect)

    register(expect=(400, "M_USER_IN_USE"))
    for token in (stranger.token, "nonsense", node.new_user().token):
        register(expect=(403, "M_FORBIDDEN"), guest_access_token=token)
    register(expect=(400, "M_MISSING_PARAM"), guest_access_token=guest.token, username=None)
    answer = register(guest_access_token=guest.token)
    assert answer["user_id"] == guest.user_id
    for token in (answer["access_token"], guest.token):
        assert guest.get("/account/whoami", token=token)["is_guest"] is False
        guest.get("/account/3pid", token=token)
    assert node.client().login(guest.user_id, "correct horse").user_id == guest.user_id
    register(expect=(403, "M_FORBIDDEN"), guest_access_token=guest.token)


def test_available(node):
    user = node.new_user()
    name = user.user_id[1:].split(":")[0]
    assert node.client().get("/register/available", params={"username": new_name()}) == {"available": True}
    node.client().get("/register/available", params={"username": name.upper()}, expect=(400, "M_USER_IN_USE"))
    node.client().get("/register/available", params={"username": "a b"}, expect=(400, "M_INVALID_USERNAME"))
    node.client().get("/register/available", expect=(400, "M_MISSING_PARAM"))


def test_closed_registration_is_closed_everywhere(make_node):
    """Row class legacy-endpoint-bypass."""
    node = make_node("closed.localhost", {"registration": {"open": False, "guests": False}}).start()
    body = {"username": "eve", "password": "x", "auth": {"type": "m.login.dummy"}, "mac": "00", "admin": True}
    for prefix in ("/_matrix/client/v3", "/_matrix/client/r0"):
        node.client().post(prefix + "/register", body, expect=(403, "M_FORBIDDEN"))
        node.client().post(prefix + "/register?kind=guest", body, expect=(403, "M_FORBIDDEN"))
        node.client().get(prefix + "/register/available?username=eve", expect=(403, "M_FORBIDDEN"))
    for path in ("/_matrix/client/api/v1/register", "/_matrix/client/v2_alpha/register", "/_matrix/client/v1/register",
                 "/_matrix/client/unstable/register", "/_matrix/client/v3/register/", "/_matrix/client/v3//register",
                 "/_matrix/client/v1/login", "/_matrix/client/unstable/admin/register"):
        node.client().post(path, body, expect=(404, "M_UNRECOGNIZED"))
    node.client().post("/login", {"type": "m.login.dummy", "user": "eve"}, expect=(400, "M_UNKNOWN"))


def test_class_identifier_normalisation(node):
    for name in ("a@b", "ä", "ａｄａ", "a b", "a\u0000b", "a:b", "", "x" * 250, "a%sb", "a\u0301", "A!"):
        node.client().post("/register", {"username": name, "password": "x", "auth": {"type": "m.login.dummy"}},
                           expect=(400, "M_INVALID_USERNAME"))
    node.client().post("/register", {"username": "_bridge", "password": "x"}, expect=(400, "M_EXCLUSIVE"))
    upper = node.client("Norma-1")
    assert upper.user_id == "@norma-1:localhost"
    node.client().post("/register", {"username": "norma-1", "password": "x"}, expect=(400, "M_USER_IN_USE"))
    node.client().post("/register", {"username": "NORMA-1", "password": "x"}, expect=(400, "M_USER_IN_USE"))
    for spelling in ("norma-1", "NORMA-1", "@norma-1:localhost", "@Norma-1:localhost"):
        assert login(node, spelling)["user_id"] == upper.user_id


def test_two_registrations_of_one_name_at_once(node):
    body = {"username": new_name(), "password": "x", "auth": {"type": "m.login.dummy"}}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(node.client().request("POST", "/register", json=body)))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert {answer.json()["errcode"] for answer in answers if answer.status_code == 400} == {"M_USER_IN_USE"}


# Shared-secret registration


def secret_body(node, name, *, admin=False, secret=SECRET, nonce=None, password="pass word", **more):
    nonce = nonce or node.client().get("/_synapse/admin/v1/register")["nonce"]
    parts = [nonce, name, password, "admin" if admin else "notadmin"]
    if "user_type" in more:
        parts.append(more["user_type"])
    mac = hmac.new(secret.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
    return {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac, **more}


def test_register_with_the_shared_secret(node):
    body = secret_body(node, new_name("boss"), admin=True, displayname="The boss")
    answer = node.client().post("/_synapse/admin/v1/register", body)
    boss = signed_in(node, answer)
    assert boss.get("/account/whoami")["user_id"] == answer["user_id"]
    assert boss.get(f"/profile/{boss.user_id}/displayname") == {"displayname": "The boss"}
    assert node.sql(f"SELECT admin FROM account WHERE user_id = '{boss.user_id}'") == "t\n"
    node.client().post("/_synapse/admin/v1/register", secret_body(node, new_name(), user_type="bot"))


def test_class_timing_compare_shared_secret(node):
    register = "/_synapse/admin/v1/register"
    forbidden = (403, "M_FORBIDDEN")
    once = secret_body(node, new_name())
    node.client().post(register, once)
    node.client().post(register, {**once, "username": new_name()}, expect=forbidden)
    body = secret_body(node, new_name())
    for change in ({"admin": True}, {"mac": body["mac"][:39]}, {"mac": ""}, {"mac": body["mac"] + "0"}, {"mac": "0" * 40},
                   {"username": "other"}, {"password": "other"}, {"user_type": "bot"}, {"nonce": "made-up"}):
        fresh = secret_body(node, body["username"])
        node.client().post(register, {**fresh, **change}, expect=forbidden)
    # A nonce is good for one try, also for one that fails.
    nonce = node.client().get(register)["nonce"]
    node.client().post(register, secret_body(node, new_name(), nonce=nonce, secret="wrong"), expect=forbidden)
    node.client().post(register, secret_body(node, new_name(), nonce=nonce), expect=forbidden)
    # And not for ever.
    late = secret_body(node, new_name())
    node.sql(f"UPDATE registration_nonce SET expires_ts = 1 WHERE nonce = '{late['nonce']}'")
    node.client().post(register, late, expect=forbidden)


def test_shared_secret_is_off_without_one(make_node):
    node = make_node("off.localhost", {"registration": {"shared_secret": None}}).start()
    node.client().get("/_synapse/admin/v1/register", expect=(403, "M_FORBIDDEN"))
    body = secret_body(node, "eve", nonce="x", secret="", admin=True)
    node.client().post("/_synapse/admin/v1/register", body, expect=(403, "M_FORBIDDEN"))


# Sign-in


def test_login_flows(node):
    flows = [flow["type"] for flow in node.client().get("/login")["flows"]]
    assert "m.login.password" in flows


def test_login_by_older_forms(node):
    user = node.new_user()
    body = {"type": "m.login.password", "user": user.user_id, "password": user.password}
    assert node.client().post("/login", body)["user_id"] == user.user_id
    assert node.client().post("/_matrix/client/r0/login", body)["user_id"] == user.user_id


def test_login_on_the_same_device_ends_its_token(node):
    user = node.new_user()
    first = signed_in(node, login(node, user.user_id, device_id="PHONE", initial_device_display_name="Phone"))
    second = signed_in(node, login(node, user.user_id, device_id="PHONE", initial_device_display_name="Other"))
    first.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert second.get("/devices/PHONE")["display_name"] == "Phone"


def test_bad_logins(node):
    user = node.new_user()
    forbidden = (403, "M_FORBIDDEN")
    for name in (user.user_id, "@nobody:localhost", f"{user.user_id[:-9]}elsewhere", "@nobody", "*", ""):
        assert login(node, name, "wrong", expect=forbidden)["error"] == "Invalid username or password"
    login(node, user.user_id.replace("localhost", "elsewhere"), expect=forbidden)
    post = node.client().post
    post("/login", {}, expect=(400, "M_MISSING_PARAM"))
    post("/login", {"type": "m.login.carrier_pigeon"}, expect=(400, "M_UNKNOWN"))
    post("/login", {"type": "m.login.password", "password": "x"}, expect=(400, "M_MISSING_PARAM"))
    post("/login", {"type": "m.login.password", "identifier": "x", "password": "x"}, expect=(400, "M_BAD_JSON"))
    post("/login", {"type": "m.login.password", "identifier": {"type": "m.id.user"}, "password": "x"},
         expect=(400, "M_BAD_JSON"))
    post("/login", {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "x"}, "password": 5},
         expect=(400, "M_BAD_JSON"))


def test_class_ldap_unauthenticated_bind_empty_password_of_local_account(node):
    user = node.new_user()
    for password in ("", None, "\0", "\0correct horse", "correct horse\0"):
        login(node, user.user_id, password, expect=(403, "M_FORBIDDEN"))
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id}}
    node.client().post("/login", body, expect=(403, "M_FORBIDDEN"))


def test_login_token_is_used_once(node):
    user = node.new_user()
    session = user.post("/_matrix/client/v1/login/get_token", expect=401)["session"]
    answer = user.post("/_matrix/client/v1/login/get_token", {"auth": {**proof(user), "session": session}})
    body = {"type": "m.login.token", "token": answer["login_token"]}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(node.client().request("POST", "/login", json=body)))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 7


def test_class_account_enumeration(make_node):
    """The same answer and the same work for an account that is not there."""
    node = make_node("slow.localhost", {"accounts": {"password_cost": "interactive"}}).start()
    user = node.new_user()

    def median(name):
        times = []
        for _ in range(9):
            began = time.monotonic()
            answer = login(node, name, "wrong", expect=(403, "M_FORBIDDEN"))
            times.append(time.monotonic() - began)
        return sorted(times)[4], answer

    (known, known_answer), (unknown, unknown_answer) = median(user.user_id), median("@nobody:slow.localhost")
    (strange, strange_answer) = median("no such name")
    assert known_answer == unknown_answer == strange_answer
    assert unknown > known / 2 and strange > known / 2


def test_class_password_hash_dos(node):
    long = "a" * 72
    user = node.client(new_name(), password=long + "b")
    login(node, user.user_id, long + "b")
    login(node, user.user_id, long + "c", expect=(403, "M_FORBIDDEN"))
    login(node, user.user_id, long, expect=(403, "M_FORBIDDEN"))
    login(node, user.user_id, "a" * 5000, expect=(400, "M_INVALID_PARAM"))
    response = node.client().request("POST", "/login", json={"type": "m.login.password", "password": "a" * 1000000})
    assert response.status_code == 413
    node.client().post("/register", {"username": new_name(), "password": "a" * 5000}, expect=(400, "M_INVALID_PARAM"))


def test_class_rate_limit_bypass(make_node):
    node = make_node("limits.localhost", {"limits": {"enabled": True, "login": "1000;1000", "register": "1000;1000"},
                                          "node": {"trusted_proxies": "127.0.0.1"}}).start()
    user = node.new_user()
    name = user.user_id[1:].split(":")[0]
    spellings = itertools.cycle([user.user_id, name, name.upper(), f"@{name.upper()}:limits.localhost"])

    def guess(address, count=100):
        """How many guesses it takes until 429."""
        for i in range(count):
            body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": next(spellings)},
                    "password": f"wrong {i}"}
            answer = node.client().request("POST", "/login", json=body, headers={"X-Forwarded-For": address})
            if answer.status_code == 429:
                assert answer.json()["errcode"] == "M_LIMIT_EXCEEDED" and int(answer.headers["Retry-After"]) > 0
                return i
            assert answer.status_code == 403
        raise AssertionError("never limited")

    assert guess("203.0.113.5") <= 20
    # The right password does not help the guesser any more, but the owner elsewhere.
    login(node, name, expect=(429, "M_LIMIT_EXCEEDED"), headers={"X-Forwarded-For": "203.0.113.5"})
    login(node, name, headers={"X-Forwarded-For": "198.51.100.7"})
    # The rest of an IPv6 network is the same client, and UIA counts with the rest.
    assert guess("2001:db8::1") <= 20
    login(node, name, expect=(429, "M_LIMIT_EXCEEDED"), headers={"X-Forwarded-For": "2001:db8::ffff"})
    user.delete("/devices/X", {"auth": proof(user)}, expect=(429, "M_LIMIT_EXCEEDED"),
                headers={"X-Forwarded-For": "203.0.113.5"})


@pytest.mark.parametrize("path, body", [
    ("/login", {"type": "X"}),
    ("/login", {"type": "m.login.token", "token": "X"}),
    ("/login", {"type": "m.login.password", "device_id": "X"}),
    ("/login", {"type": "m.login.password", "initial_device_display_name": "X"}),
    ("/refresh", {"refresh_token": "X"}),
    ("/register", {"username": "X", "password": "x"}),
    ("/register", {"password": "x", "device_id": "X"}),
    ("/register", {"password": "x", "initial_device_display_name": "X"}),
])
def test_CVE_2021_21394_parameter_length(node, path, body):
    big = {key: "x" * 50000 if value == "X" else value for key, value in body.items()}
    assert node.client().post(path, big, expect=400)["errcode"] in ("M_INVALID_PARAM", "M_INVALID_USERNAME")


# Tokens


def test_tokens_are_distinct_and_stored_hashed(node):
    user = node.new_user()
    tokens = {login(node, user.user_id)["access_token"] for _ in range(20)}
    assert len(tokens) == 20
    stored = node.sql("SELECT * FROM access_token") + node.sql("SELECT * FROM account")
    assert not any(token in stored for token in tokens | {user.token, user.password})


def test_missing_and_unknown_tokens(node):
    node.client().get("/account/whoami", expect=(401, "M_MISSING_TOKEN"))
    node.client().get("/account/whoami", token="made up", expect=(401, "M_UNKNOWN_TOKEN"))
    node.client().post("/logout", expect=(401, "M_MISSING_TOKEN"))
    node.client().get("/account/whoami?access_token=made%20up", expect=(401, "M_UNKNOWN_TOKEN"))


def test_refresh(node):
    user = node.new_user()
    first = login(node, user.user_id, refresh_token=True)
    assert first["expires_in_ms"] == 3600 * 1000
    client = signed_in(node, first)
    client.get("/account/whoami")
    second = client.post("/refresh", {"refresh_token": first["refresh_token"]}, token=None)
    assert second["access_token"] != first["access_token"] and second["refresh_token"] != first["refresh_token"]
    client.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    # The answer was lost: the old refresh token is good until the new pair is used.
    third = client.post("/refresh", {"refresh_token": first["refresh_token"]}, token=None)
    client.post("/refresh", {"refresh_token": second["refresh_token"]}, token=None, expect=(401, "M_UNKNOWN_TOKEN"))
    client.get("/account/whoami", token=second["access_token"], expect=(401, "M_UNKNOWN_TOKEN"))
    assert client.get("/account/whoami", token=third["access_token"])["device_id"] == first["device_id"]
    client.post("/refresh", {"refresh_token": first["refresh_token"]}, token=None, expect=(401, "M_UNKNOWN_TOKEN"))
    # Using the refresh token counts as using the pair.
    fourth = client.post("/refresh", {"refresh_token": third["refresh_token"]}, token=None)
    fifth = client.post("/refresh", {"refresh_token": fourth["refresh_token"]}, token=None)
    client.post("/refresh", {"refresh_token": third["refresh_token"]}, token=None, expect=(401, "M_UNKNOWN_TOKEN"))
    client.get("/account/whoami", token=fifth["access_token"])
    client.post("/refresh", {"refresh_token": "made up"}, token=None, expect=(401, "M_UNKNOWN_TOKEN"))
    client.post("/refresh", {}, token=None, expect=(400, "M_MISSING_PARAM"))


def test_expired_token_is_a_soft_logout(make_node):
    node = make_node("brief.localhost", {"accounts": {"password_cost": "minimum", "access_token_lifetime": 1}}).start()
    user = node.new_user()
    answer = login(node, user.user_id, refresh_token=True)
    client = signed_in(node, answer)
    client.get("/account/whoami")
    time.sleep(1.1)
    assert client.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))["soft_logout"] is True
    client.token = client.post("/refresh", {"refresh_token": answer["refresh_token"]}, token=None)["access_token"]
    client.get("/account/whoami")
    user.get("/account/whoami")


def age_refresh_tokens(node, user, seconds):
    node.sql(f"UPDATE refresh_token SET created_ts = created_ts - {seconds * 1000}::bigint WHERE user_id = '{user.user_id}'")


def test_unused_refresh_token_expires(make_node):
    node = make_node("brief.localhost", {"accounts": {"password_cost": "minimum", "refresh_token_lifetime": 1000}}).start()
    user = node.new_user()
    client = node.client()
    used = login(node, user.user_id, refresh_token=True)
    age_refresh_tokens(node, user, 990)
    # In time; and what comes of it is as good as new.
    used = client.post("/refresh", {"refresh_token": used["refresh_token"]})
    age_refresh_tokens(node, user, 990)
    used = client.post("/refresh", {"refresh_token": used["refresh_token"]})
    unused = login(node, user.user_id, refresh_token=True)
    age_refresh_tokens(node, user, 1001)
    for token in (used, unused):
        refused = client.post("/refresh", {"refresh_token": token["refresh_token"]}, expect=(401, "M_UNKNOWN_TOKEN"))
        assert refused["soft_logout"] is True
        client.get("/account/whoami", token=token["access_token"])  # it lives as long as it was said to
    assert unused["device_id"] in [device["device_id"] for device in user.get("/devices")["devices"]]
    again = login(node, user.user_id, refresh_token=True, device_id=unused["device_id"])
    client.post("/refresh", {"refresh_token": again["refresh_token"]})


def test_refresh_tokens_are_for_ever_when_told_so(make_node):
    node = make_node("brief.localhost", {"accounts": {"password_cost": "minimum", "refresh_token_lifetime": 0}}).start()
    user = node.new_user()
    answer = login(node, user.user_id, refresh_token=True)
    age_refresh_tokens(node, user, 1000000000)
    node.restart()
    time.sleep(1)
    node.client().post("/refresh", {"refresh_token": answer["refresh_token"]})


def test_class_token_revocation(node):
    """Whatever ends a token ends it at once."""
    user = node.new_user()

    def fresh(**more):
        client = signed_in(node, login(node, user.user_id, **more))
        client.password = user.password
        client.get("/account/whoami")
        return client

    gone = (401, "M_UNKNOWN_TOKEN")
    client = fresh()
    client.post("/logout")
    client.get("/account/whoami", expect=gone)

    client = fresh()
    user.delete(f"/devices/{client.device_id}", {"auth": proof(user)})
    client.get("/account/whoami", expect=gone)

    answer = login(node, user.user_id, refresh_token=True)
    client = signed_in(node, answer)
    user.post("/delete_devices", {"devices": [client.device_id], "auth": proof(user)})
    client.get("/account/whoami", expect=gone)
    client.post("/refresh", {"refresh_token": answer["refresh_token"]}, token=None, expect=gone)

    client = fresh()
    user.post("/account/password", {"new_password": "new one", "auth": proof(user)})
    user.password = "new one"
    client.get("/account/whoami", expect=gone)
    user.get("/account/whoami")

    clients = [signed_in(node, login(node, user.user_id, "new one")) for _ in range(3)]
    clients[0].post("/logout/all")
    for client in [*clients, user]:
        client.get("/account/whoami", expect=gone)
    login(node, user.user_id, "new one")


def held_sync(client):
    """Starts a long poll; returns what gives its response, once it has one."""
    since = client.sync()["next_batch"]
    responses = []

    def poll():
        responses.append(client.request("GET", "/sync", params={"since": since, "timeout": 30000}))

    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(0.3)
    assert not responses, responses[0].text

    def finish():
        thread.join(5)
        assert responses, "the poll is still held"
        return responses[0]

    return finish


@pytest.mark.parametrize("way", ["logout", "logout_all", "delete_device", "password", "deactivate", "sign_in_again", "refresh"])
def test_class_token_revocation_ends_open_polls(node, way):
    user = node.new_user()
    answer = login(node, user.user_id, refresh_token=True)
    client, owner = signed_in(node, answer), user.another_device()
    other, held = held_sync(user), held_sync(client)
    {"logout": lambda: client.post("/logout"),
     "logout_all": lambda: node.client().post("/logout/all", token=client.token),
     "delete_device": lambda: owner.delete(f"/devices/{client.device_id}", {"auth": proof(user)}),
     "password": lambda: owner.post("/account/password", {"new_password": "new", "auth": proof(user)}),
     "deactivate": lambda: owner.post("/account/deactivate", {"auth": proof(user)}),
     "sign_in_again": lambda: login(node, user.user_id, device_id=client.device_id),
     "refresh": lambda: node.client().post("/refresh", {"refresh_token": answer["refresh_token"]})}[way]()
    response = held()
    assert response.status_code == 401 and response.json()["errcode"] == "M_UNKNOWN_TOKEN"
    if way in ("logout_all", "deactivate", "password"):
        assert other().status_code == 401
    else:
        user.put(f"/user/{user.user_id}/account_data/a.b", {})
        assert other().status_code == 200


def test_tokens_survive_a_restart(make_node):
    node = make_node("again.localhost").start()
    user = node.new_user()
    gone = user.another_device()
    gone.post("/logout")
    node.restart()
    user.get("/account/whoami")
    gone.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


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


# User-interactive authentication


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


# Deactivation


def test_CVE_2023_32682_deactivated_login(node):
    user = node.new_user()
    refreshable = login(node, user.user_id, refresh_token=True)
    token = user.post("/_matrix/client/v1/login/get_token", {"auth": proof(user)})["login_token"]
    other = user.another_device()
    answer = user.post("/account/deactivate", {"auth": proof(user), "erase": True})
    assert answer == {"id_server_unbind_result": "success"}
    # Even if somebody gives it a password again.
    node.sql("UPDATE account SET password_hash = (SELECT password_hash FROM account WHERE user_id ="
             f" '{node.new_user().user_id}') WHERE user_id = '{user.user_id}'")
    login(node, user.user_id, expect=(403, "M_USER_DEACTIVATED"))
    node.client().post("/login", {"type": "m.login.token", "token": token}, expect=(403, "M_FORBIDDEN"))
    node.client().post("/refresh", {"refresh_token": refreshable["refresh_token"]}, expect=(401, "M_UNKNOWN_TOKEN"))
    for client in (user, other):
        client.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    node.client().get("/account/whoami", token=refreshable["access_token"], expect=(401, "M_UNKNOWN_TOKEN"))
    name = user.user_id[1:].split(":")[0]
    node.client().post("/register", {"username": name, "password": "x", "auth": {"type": "m.login.dummy"}},
                       expect=(400, "M_USER_IN_USE"))
    node.client().get(f"/profile/{user.user_id}", expect=(404, "M_NOT_FOUND"))


def test_erased_words_are_for_those_who_were_there(node):
    """POST /account/deactivate, "erase": who joins later is served redacted copies."""
    user, witness, newcomer = (node.new_user() for _ in range(3))
    room = user.create_room(preset="public_chat")
    witness.join(room)
    said = user.send(room, "rhubarb")
    topic = user.set_state(room, "m.room.topic", {"topic": "stays"})["event_id"]
    user.post("/account/deactivate", {"auth": proof(user), "erase": True})
    newcomer.join(room)

    def found(person):
        query = {"search_categories": {"room_events": {"search_term": "rhubarb"}}}
        return person.post("/search", query)["search_categories"]["room_events"]["results"]

    for person, content in ((witness, {"msgtype": "m.text", "body": "rhubarb"}), (newcomer, {})):
        assert person.event(room, said)["content"] == content
        listed = {event["event_id"]: event["content"] for event in person.messages(room, limit=50)["chunk"]}
        assert listed[said] == content
        assert listed[topic]["topic"] == "stays"
        synced = person.sync()["rooms"]["join"][room]["timeline"]["events"]
        assert {event["event_id"]: event["content"] for event in synced}.get(said, content) == content
    assert newcomer.state(room, "m.room.topic")["topic"] == "stays"
    assert found(newcomer) == []


def test_deactivation_needs_the_right_password(node):
    user = node.new_user()
    answer = user.post("/account/deactivate", {"auth": proof(user, "wrong")}, expect=(401, "M_FORBIDDEN"))
    assert {"error", "params", "completed", "flows"} <= answer.keys()
    user.get("/account/whoami")


def test_locked_and_suspended_accounts(make_node):
    node = make_node("states.localhost").start()
    user, other = node.new_user(), node.new_user("other")
    node.sql(f"UPDATE account SET state = 'locked' WHERE user_id = '{user.user_id}'")
    node.sql(f"UPDATE account SET suspended = true WHERE user_id = '{other.user_id}'")
    node.restart()
    assert user.get("/account/whoami", expect=(401, "M_USER_LOCKED"))["soft_logout"] is True
    login(node, user.user_id, expect=(401, "M_USER_LOCKED"))
    user.post("/logout")
    other.get("/account/whoami")
    other.put(f"/profile/{other.user_id}/displayname", {"displayname": "x"}, expect=(403, "M_USER_SUSPENDED"))
    login(node, other.user_id)
    other.post("/logout")


# Devices


def test_devices(node):
    user = node.new_user()
    login(node, user.user_id, device_id="PHONE", initial_device_display_name="My phone")
    devices = {device["device_id"]: device for device in user.get("/devices")["devices"]}
    assert devices.keys() == {user.device_id, "PHONE"}
    assert devices["PHONE"]["display_name"] == "My phone" and devices["PHONE"]["user_id"] == user.user_id
    user.put("/devices/PHONE", {"display_name": "Your phone"})
    assert user.get("/devices/PHONE")["display_name"] == "Your phone"
    user.put("/devices/PHONE", {})
    assert user.get("/devices/PHONE")["display_name"] == "Your phone"
    user.get("/devices/UNKNOWN", expect=(404, "M_NOT_FOUND"))
    user.put("/devices/UNKNOWN", {"display_name": "x"}, expect=(404, "M_NOT_FOUND"))
    user.put("/devices/PHONE", {"display_name": 5}, expect=(400, "M_BAD_JSON"))
    user.delete("/devices/PHONE", {"auth": proof(user)})
    user.get("/devices/PHONE", expect=(404, "M_NOT_FOUND"))
    assert user.request("DELETE", "/devices/PHONE").status_code == 401
    user.post("/delete_devices", {"devices": "PHONE"}, expect=(400, "M_BAD_JSON"))
    user.post("/delete_devices", {"devices": [5]}, expect=(400, "M_BAD_JSON"))


def test_devices_tell_when_they_were_seen(make_node):
    node = make_node("seen.localhost").start()
    user = node.new_user()
    user.get("/account/whoami", headers={"User-Agent": "a client"})
    node.restart()
    device = user.get(f"/devices/{user.device_id}")
    assert device["last_seen_ip"] == "127.0.0.1" and abs(device["last_seen_ts"] / 1000 - time.time()) < 60


# Profiles


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


# OpenID


def test_CVE_2023_38691_openid_subject(node):
    user, other = node.new_user(), node.new_user()
    answer = user.post(f"/user/{user.user_id}/openid/request_token")
    assert answer["matrix_server_name"] == "localhost" and answer["token_type"] == "Bearer" and answer["expires_in"] > 0
    user.post(f"/user/{other.user_id}/openid/request_token", expect=(403, "M_FORBIDDEN"))
    user.get("/account/whoami", token=answer["access_token"], expect=(401, "M_UNKNOWN_TOKEN"))
    assert answer["access_token"] not in node.sql("SELECT * FROM openid_token")


# What accounts mean for rooms


def member_content(reader, room, user):
    return reader.state(room, "m.room.member", user.user_id)


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


def test_deactivated_user_leaves(node):
    user, other = node.new_user(), node.new_user()
    joined, invited = other.create_room(preset="public_chat"), other.create_room()
    user.join(joined)
    other.invite(invited, user)
    user.post("/account/deactivate", {"auth": proof(user)})
    for room in (joined, invited):
        machine.wait_for(lambda: member_content(other, room, user)["membership"] == "leave", what="the leave")
    machine.wait_for(lambda: node.sql(f"SELECT count(*) FROM device WHERE user_id = '{user.user_id}'") == "0\n",
                     what="the end of the devices")


def test_deactivation_is_finished_after_a_restart(make_node):
    node = make_node("unfinished.localhost").start()
    user, other = node.new_user(), node.new_user()
    room = other.create_room(preset="public_chat")
    user.join(room)
    node.sql(f"UPDATE account SET state = 'deactivated' WHERE user_id = '{user.user_id}'")
    node.restart()
    machine.wait_for(lambda: member_content(other, room, user)["membership"] == "leave", what="the leave")
    assert node.sql(f"SELECT count(*) FROM device WHERE user_id = '{user.user_id}'") == "0\n"
