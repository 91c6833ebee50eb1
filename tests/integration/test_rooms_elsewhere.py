"""Memberships, aliases, directories and spaces across two servers, as clients see them."""

import time

from client import Client, quote
import pytest

pytestmark = pytest.mark.peers

V1 = "/_matrix/client/v1"
VERSIONS = ["10", "11", "12"]


@pytest.fixture
def pair(two_nodes):
    acme, globex = two_nodes
    return acme.new_user(), globex.new_user()


def until(check, seconds=15):
    end = time.monotonic() + seconds
    while True:
        result = check()
        if result or time.monotonic() > end:
            return result
        time.sleep(0.05)


def membership(client, room, user):
    answer = client.request("GET", f"/rooms/{quote(room)}/state/m.room.member/{quote(user.user_id)}")
    return answer.json().get("membership")


def becomes(client, room, user, wanted):
    assert until(lambda: membership(client, room, user) == wanted), membership(client, room, user)


@pytest.mark.parametrize("version", VERSIONS)
def test_invite_and_reject(pair, version):
    alice, bob = pair
    room = alice.create_room(room_version=version)
    alice.invite(room, bob)
    assert membership(alice, room, bob) == "invite"
    bob.get(f"/rooms/{quote(room)}/state", expect=(403, "M_FORBIDDEN"))
    bob.leave(room)
    becomes(alice, room, bob, "leave")
    bob.post(f"/rooms/{quote(room)}/leave", expect=(403, "M_FORBIDDEN"))
    bob.post(f"/rooms/{quote(room)}/forget")


@pytest.mark.parametrize("version", VERSIONS)
def test_invite_accept_leave_and_return(pair, version):
    alice, bob = pair
    room = alice.create_room(room_version=version, invite=[bob.user_id])
    bob.join(room)
    becomes(alice, room, bob, "join")
    bob.leave(room)
    becomes(alice, room, bob, "leave")
    bob.post(f"/join/{quote(room)}?server_name=acme.localhost", expect=(403, "M_FORBIDDEN"))
    alice.invite(room, bob)
    bob.join(room)
    becomes(alice, room, bob, "join")
    event = alice.send(room, "welcome back")
    assert until(lambda: bob.request("GET", f"/rooms/{quote(room)}/event/{quote(event)}").status_code == 200)


def test_second_user_joins_locally(pair, two_nodes):
    alice, bob = pair
    room = alice.create_room(preset="public_chat")
    bob.join(room, via=["acme.localhost"])
    carol = two_nodes[1].new_user()
    carol.join(room)
    becomes(alice, room, carol, "join")


def test_kick_and_ban_from_afar(pair):
    alice, bob = pair
    room = alice.create_room(preset="public_chat")
    bob.join(room, via=["acme.localhost"])
    becomes(alice, room, bob, "join")
    alice.post(f"/rooms/{quote(room)}/kick", {"user_id": bob.user_id})
    becomes(bob, room, bob, "leave")
    bob.join(room, via=["acme.localhost"])
    becomes(alice, room, bob, "join")
    alice.post(f"/rooms/{quote(room)}/ban", {"user_id": bob.user_id})
    becomes(bob, room, bob, None)
    bob.post(f"/join/{quote(room)}?server_name=acme.localhost", expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("version", VERSIONS)
def test_knock(pair, version):
    alice, bob = pair
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room = alice.create_room(room_version=version, initial_state=[rules])
    bob.post(f"/knock/{quote(room)}?via=acme.localhost", {"reason": "please"})
    becomes(alice, room, bob, "knock")
    alice.invite(room, bob)
    bob.join(room)
    becomes(alice, room, bob, "join")


@pytest.mark.parametrize("version", VERSIONS)
def test_restricted_join(pair, version):
    alice, bob = pair
    club = alice.create_room(preset="public_chat", room_version=version)
    room = alice.create_room(room_version=version, initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": {
        "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}}])
    bob.post(f"/join/{quote(room)}?via=acme.localhost", expect=403)
    bob.join(club, via=["acme.localhost"])
    becomes(alice, club, bob, "join")
    bob.join(room, via=["acme.localhost"])
    becomes(alice, room, bob, "join")
    assert alice.state(room, "m.room.member", bob.user_id)["join_authorised_via_users_server"] == alice.user_id


def guest_of(node):
    guest = Client(node)
    answer = guest.call("POST", "/register?kind=guest", {}, token=None)
    guest.user_id, guest.token = answer["user_id"], answer["access_token"]
    return guest


def test_guests_leave_when_another_server_says_so(pair, two_nodes):
    alice, bob = pair
    room = alice.create_room(preset="public_chat")
    alice.set_state(room, "m.room.guest_access", {"guest_access": "can_join"})
    bob.join(room, via=["acme.localhost"])
    guest = guest_of(two_nodes[1])
    guest.join(room)
    becomes(alice, room, guest, "join")
    alice.set_state(room, "m.room.guest_access", {"guest_access": "forbidden"})
    becomes(alice, room, guest, "leave")


def test_tags_follow_into_another_servers_new_room(pair):
    alice, bob = pair
    room = alice.create_room(preset="public_chat", room_version="11")
    bob.join(room, via=["acme.localhost"])
    bob.put(f"/user/{bob.user_id}/rooms/{quote(room)}/tags/m.lowpriority", {})
    replacement = alice.post(f"/rooms/{quote(room)}/upgrade", {"new_version": "12"})["replacement_room"]
    assert until(lambda: bob.request("GET", f"/rooms/{quote(room)}/state/m.room.tombstone").status_code == 200)
    bob.join(replacement, via=["acme.localhost"])
    tags = f"/user/{bob.user_id}/rooms/{quote(replacement)}/tags"
    assert until(lambda: bob.get(tags)["tags"] == {"m.lowpriority": {}})


def test_who_is_invited_may_look_at_the_room(pair, two_nodes):
    alice, bob = pair
    space = alice.create_room(preset="private_chat", name="den", creation_content={"type": "m.space"})
    summary, hierarchy = f"{V1}/room_summary/{quote(space)}", f"{V1}/rooms/{quote(space)}/hierarchy"
    carol = two_nodes[1].new_user()
    alice.invite(space, bob)
    answer = bob.get(summary)
    assert (answer["name"], answer["join_rule"], answer["membership"]) == ("den", "invite", "invite")
    assert [room["room_id"] for room in bob.get(hierarchy)["rooms"]] == [space]
    carol.get(f"{summary}?via=acme.localhost", expect=(404, "M_NOT_FOUND"))
    bob.leave(space)
    bob.get(f"{summary}?via=acme.localhost", expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize("access, allowed", [("can_join", True), ("forbidden", False)])
def test_guests_accept_invites_from_elsewhere_where_they_may(pair, two_nodes, access, allowed):
    alice, _ = pair
    guest = guest_of(two_nodes[1])
    room = alice.create_room(preset="private_chat")
    alice.set_state(room, "m.room.guest_access", {"guest_access": access})
    alice.invite(room, guest)
    answer = guest.request("POST", f"/join/{quote(room)}", json={})
    assert answer.status_code == (200 if allowed else 403)
    assert allowed or answer.json()["errcode"] == "M_GUEST_ACCESS_FORBIDDEN"
    becomes(alice, room, guest, "join" if allowed else "invite")


def test_who_takes_no_invites_gets_none_from_elsewhere(pair):
    alice, bob = pair
    room = alice.create_room()
    bob.put(f"/user/{bob.user_id}/account_data/m.invite_permission_config", {"default_action": "block"})
    answer = alice.request("POST", f"/rooms/{quote(room)}/invite", json={"user_id": bob.user_id})
    assert (answer.status_code, answer.json()["errcode"]) == (403, "M_INVITE_BLOCKED")
    assert membership(alice, room, bob) is None
