"""Sign-in with a password or a login token, and who must not get in by it."""

import itertools
import threading
import time

import pytest

from accounts import login, new_name, proof, signed_in


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
