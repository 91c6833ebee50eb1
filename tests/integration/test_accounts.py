"""Accounts: registration, sign-in and sign-out, tokens, passwords."""

def login(node, user, password="correct horse", *, expect=200, **more):
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password, **more}
    return node.client().post("/login", body, expect=expect)


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


def test_register_keeps_device_and_inhibits_login(node):
    body = {"username": "inhibited", "password": "x", "auth": {"type": "m.login.dummy"}}
    answer = node.client().post("/register", {**body, "inhibit_login": True})
    assert answer["user_id"] == "@inhibited:localhost" and "access_token" not in answer and "device_id" not in answer
    answer = node.client().post("/register", {**body, "username": "deviced", "device_id": "MINE"})
    assert answer["device_id"] == "MINE"


def test_kind_of_account(node):
    node.client().post("/register?kind=robot", {}, expect=(400, "M_INVALID_PARAM"))


def test_guest(node):
    answer = node.client().post("/register?kind=guest", {"device_id": "IGNORED"})
    assert answer["device_id"] != "IGNORED"
    guest = node.client()
    guest.token = answer["access_token"]
    assert guest.get("/account/whoami")["is_guest"] is True
    guest.get("/account/3pid", expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))


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
