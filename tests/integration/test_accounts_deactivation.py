"""Accounts that are deactivated, locked or suspended."""

import machine
from accounts import login, member_content, proof


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
