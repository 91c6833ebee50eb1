"""Registration: by anybody, by guests, and with the shared secret."""

import hashlib
import hmac
import threading

import pytest

from accounts import login, new_name, proof, signed_in
from e2ee import Device, claim, query


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


def test_what_a_guest_may_do_about_himself(node):
    """Client-server API, "Guest Access": display name, devices, and the keys of encryption."""
    guest = signed_in(node, node.client().post("/register?kind=guest", {}))
    path = f"/profile/{guest.user_id}"
    guest.put(f"{path}/displayname", {"displayname": "Passer-by"})
    guest.put(f"{path}/avatar_url", {"avatar_url": "mxc://localhost/a"}, expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
    guest.delete(f"{path}/avatar_url", expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
    assert guest.get(path) == {"displayname": "Passer-by"}
    guest.put(f"/devices/{guest.device_id}", {"display_name": "kiosk"})
    assert guest.get("/devices")["devices"][0]["display_name"] == "kiosk"
    guest.delete(f"/devices/{guest.device_id}", {}, expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
    device = Device(guest)
    device.upload(1)
    assert list(query(guest, guest)["device_keys"][guest.user_id]) == [guest.device_id]
    assert claim(guest, device)
    guest.put("/sendToDevice/org.example/1", {"messages": {guest.user_id: {guest.device_id: {}}}})


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


# With the shared secret


SECRET = "registration secret"


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
