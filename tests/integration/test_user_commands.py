"""`comity user`, beside a running node."""

import pytest

import machine


def user_command(node, *arguments, password=None, expect=0):
    result = node.run("user", *arguments, input=None if password is None else password + "\n")
    assert result.returncode == expect, result.stderr
    return result


def login(node, user, password, *, expect=200):
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password}
    return node.client().post("/login", body, expect=expect)


@pytest.fixture(scope="module")
def company():
    from node import Node
    node = Node("cli.localhost").start()
    yield node
    node.stop()
    node.remove()


def accounts(node):
    return {line.split()[0]: line.split()[1:] for line in user_command(node, "list").stdout.splitlines()}


def test_add_and_list(company):
    user_command(company, "add", "alice", "--display-name", "Alice A.", password="alice's password")
    user_command(company, "add", "root", "--admin", password="root's password")
    assert accounts(company)["@alice:cli.localhost"] == ["local", "active"]
    assert accounts(company)["@root:cli.localhost"] == ["local", "active", "admin"]
    assert login(company, "alice", "alice's password")["user_id"] == "@alice:cli.localhost"
    assert company.client().get("/profile/@alice:cli.localhost") == {"displayname": "Alice A."}


def test_add_refuses(company):
    user_command(company, "add", "taken", password="x")
    assert "taken" in user_command(company, "add", "taken", password="x", expect=1).stderr
    user_command(company, "add", "not a name", password="x", expect=1)
    user_command(company, "add", "nobody", password="", expect=1)
    user_command(company, "add", "nobody", password="x" * 600, expect=1)
    user_command(company, "add", expect=2)
    user_command(company, "passwd", "nobody", password="x", expect=1)
    user_command(company, "deactivate", "nobody", expect=1)
    assert "@nobody:cli.localhost" not in accounts(company)


def test_class_token_revocation_by_passwd(company):
    user = company.client("bob")
    user.get("/account/whoami")
    user_command(company, "passwd", "bob", password="new password")
    machine.wait_for(lambda: user.request("GET", "/account/whoami").status_code == 401, 5, what="the node to hear of it")
    login(company, "bob", user.password, expect=(403, "M_FORBIDDEN"))
    login(company, "@bob:cli.localhost", "new password")


def test_CVE_2023_32682_deactivated_by_command(company):
    user, other = company.client("carol"), company.new_user()
    room = other.create_room(preset="public_chat")
    user.join(room)
    user_command(company, "deactivate", "carol")
    machine.wait_for(lambda: user.request("GET", "/account/whoami").status_code == 401, 5, what="the node to hear of it")
    machine.wait_for(lambda: other.state(room, "m.room.member", user.user_id)["membership"] == "leave", what="the leave")
    assert accounts(company)["@carol:cli.localhost"] == ["local", "deactivated"]
    login(company, "carol", user.password, expect=(403, "M_FORBIDDEN"))
    user_command(company, "passwd", "carol", password="x", expect=1)
    user_command(company, "unlock", "carol", expect=1)
    assert accounts(company)["@carol:cli.localhost"] == ["local", "deactivated"]


def test_lock_and_unlock(company):
    user = company.client("dave")
    user.get("/account/whoami")
    user_command(company, "lock", "dave")
    machine.wait_for(lambda: user.request("GET", "/account/whoami").status_code == 401, 5, what="the node to hear of it")
    assert user.get("/account/whoami", expect=(401, "M_USER_LOCKED"))["soft_logout"] is True
    user_command(company, "unlock", "dave")
    machine.wait_for(lambda: user.request("GET", "/account/whoami").status_code == 200, 5, what="the node to hear of it")


def test_without_a_running_node(make_node):
    node = make_node("offline.localhost").start()
    node.stop()
    user_command(node, "add", "early", password="bird")
    node.start()
    login(node, "early", "bird")
