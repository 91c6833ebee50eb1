"""Accounts as other servers see them: profiles, OpenID tokens, who is found."""

import pytest

import machine

pytestmark = pytest.mark.peers


def named(node, name):
    user = node.new_user()
    user.put(f"/profile/{user.user_id}/displayname", {"displayname": name})
    return user


def test_profile_of_another_servers_user(two_nodes):
    acme, globex = two_nodes
    ada, gita = named(acme, "Ada"), named(globex, "Gita")
    gita.put(f"/profile/{gita.user_id}/avatar_url", {"avatar_url": "mxc://globex.localhost/gita"})
    assert ada.get(f"/profile/{gita.user_id}") == {"displayname": "Gita", "avatar_url": "mxc://globex.localhost/gita"}
    assert ada.get(f"/profile/{gita.user_id}/displayname") == {"displayname": "Gita"}
    ada.get(f"/profile/{gita.user_id}/org.example.absent", expect=(404, "M_NOT_FOUND"))
    ada.get("/profile/@nobody:globex.localhost", expect=(404, "M_NOT_FOUND"))
    assert ada.request("GET", "/profile/@a:not-there.localhost").status_code >= 400


def test_new_name_reaches_the_other_server(two_nodes):
    acme, globex = two_nodes
    ada, gita = named(acme, "Ada"), named(globex, "Gita")
    room = ada.create_room(preset="public_chat")
    gita.join(room, via=["acme.localhost"])
    gita.put(f"/profile/{gita.user_id}/displayname", {"displayname": "Gita II"})
    machine.wait_for(lambda: ada.state(room, "m.room.member", gita.user_id).get("displayname") == "Gita II",
                     what="the new name")


def test_users_of_other_servers_are_found_by_the_name_in_a_shared_room(two_nodes):
    acme, globex = two_nodes
    ada, gita, stranger = named(acme, "Ada"), named(globex, "Gita of the \"quotes\""), acme.new_user()
    room = ada.create_room()
    ada.invite(room, gita)
    machine.wait_for(lambda: gita.request("POST", f"/join/{room}").status_code == 200, what="the join")

    def search(user, term):
        return {one["user_id"]: one for one in user.post("/user_directory/search", {"search_term": term})["results"]}

    found = machine.wait_for(lambda: search(ada, "gita of the"), what="the search")
    assert found[gita.user_id]["display_name"] == "Gita of the \"quotes\""
    assert search(stranger, "gita of the") == {}


def test_deactivated_user_leaves_across_servers(two_nodes):
    acme, globex = two_nodes
    ada, gita = acme.new_user(), globex.new_user()
    joined, invited = [ada.create_room(preset="public_chat") for _ in range(2)]
    gita.join(joined, via=["acme.localhost"])
    ada.invite(invited, gita)
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": gita.user_id}, "password": gita.password}
    gita.post("/account/deactivate", {"auth": auth})
    for room in (joined, invited):
        machine.wait_for(lambda: ada.state(room, "m.room.member", gita.user_id)["membership"] == "leave", 20,
                         what="the leave")


def test_CVE_2023_38691_openid_userinfo(own_two_nodes):
    acme, globex = own_two_nodes
    ada = acme.new_user()
    token = ada.post(f"/user/{ada.user_id}/openid/request_token")["access_token"]
    userinfo = "/_matrix/federation/v1/openid/userinfo"
    assert acme.request("GET", userinfo, params={"access_token": token}).json() == {"sub": ada.user_id}
    assert acme.request("GET", userinfo, params={"access_token": token}).json() == {"sub": ada.user_id}
    for node, wrong in ((globex, token), (acme, ada.token), (acme, "made-up"), (acme, "")):
        answer = node.request("GET", userinfo, params={"access_token": wrong})
        assert answer.status_code == 401 and answer.json()["errcode"] in ("M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"), answer.text
    acme.sql("UPDATE openid_token SET expires_ts = 1")
    answer = acme.request("GET", userinfo, params={"access_token": token})
    assert answer.status_code == 401 and answer.json()["errcode"] == "M_UNKNOWN_TOKEN"


def test_servers_that_come_later_get_no_erased_words(two_nodes):
    acme, globex = two_nodes
    ada, owner, gita = named(acme, "Ada"), acme.new_user(), named(globex, "Gita")
    room = owner.create_room(preset="public_chat")
    ada.join(room)
    said, kept = ada.send(room, "rhubarb"), owner.send(room, "custard")
    ada.post("/account/deactivate", {"erase": True, "auth": {"type": "m.login.password", "password": ada.password, "identifier": {
        "type": "m.id.user", "user": ada.user_id}}})
    gita.join(room, via=["acme.localhost"])

    def known():
        return {event["event_id"]: event["content"] for event in gita.messages(room, limit=100)["chunk"]}

    machine.wait_for(lambda: said in known(), what="the history")
    listed = known()
    assert listed[said] == {}
    assert listed[kept]["body"] == "custard"
