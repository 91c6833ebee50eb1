"""Joining, leaving, inviting, kicking, banning, knocking and forgetting, in rooms of one server."""

from client import quote
from machine import wait_for
import pytest


def membership(client, room, user):
    return client.state(room, "m.room.member", getattr(user, "user_id", user))["membership"]


@pytest.fixture
def room(user):
    return user.create_room(preset="public_chat")


def act(client, verb, room, target, expect=200, **more):
    return client.post(f"/rooms/{quote(room)}/{verb}", {"user_id": getattr(target, "user_id", target), **more}, expect=expect)


def test_join_by_id_and_by_alias(user, other, node):
    name = "join" + user.user_id[1:].split(":")[0]
    room = user.create_room(preset="public_chat", room_alias_name=name)
    assert other.join(room) == room
    third = node.new_user()
    assert third.join(f"#{name}:localhost") == room
    assert membership(user, room, third) == "join"
    assert room in third.get("/joined_rooms")["joined_rooms"]


def test_join_carries_profile_and_reason(user, other, room):
    other.put(f"/profile/{quote(other.user_id)}/displayname", {"displayname": "Other"})
    other.post(f"/rooms/{quote(room)}/join", {"reason": "to look"})
    content = user.state(room, "m.room.member", other.user_id)
    assert content == {"membership": "join", "displayname": "Other", "reason": "to look"}


def test_joining_twice_changes_nothing(user, other, room):
    other.join(room)
    before = user.state(room, "m.room.member", other.user_id, params={"format": "event"})["event_id"]
    other.join(room)
    assert user.state(room, "m.room.member", other.user_id, params={"format": "event"})["event_id"] == before


def test_invite_only(user, other):
    room = user.create_room()
    other.post(f"/join/{quote(room)}", expect=(403, "M_FORBIDDEN"))
    user.invite(room, other)
    assert membership(user, room, other) == "invite"
    other.join(room)
    assert membership(user, room, other) == "join"


@pytest.mark.parametrize("target, status, errcode", [
    ("!no:such.room", 502, "M_UNKNOWN"), ("#none:localhost", 404, "M_NOT_FOUND"), ("nonsense", 400, "M_INVALID_PARAM"),
    ("#bad", 400, "M_INVALID_PARAM"),
])
def test_join_what_is_not_there(user, target, status, errcode):
    user.post(f"/join/{quote(target)}", expect=(status, errcode))


def test_leave_and_come_back(user, other, room):
    other.join(room)
    other.leave(room)
    assert membership(user, room, other) == "leave"
    other.leave(room)
    other.join(room)
    assert membership(user, room, other) == "join"


def test_last_one_out_can_come_back_to_a_public_room(user, room):
    user.leave(room)
    user.join(room)
    assert membership(user, room, user) == "join"


def test_leave_what_one_is_not_in(user, other, room):
    other.post(f"/rooms/{quote(room)}/leave", expect=(403, "M_FORBIDDEN"))
    other.post("/rooms/!no:such/leave", expect=(403, "M_FORBIDDEN"))


def test_reject_an_invite(user, other):
    room = user.create_room(invite=[other.user_id])
    other.leave(room)
    assert membership(user, room, other) == "leave"
    other.get(f"/rooms/{quote(room)}/state", expect=(403, "M_FORBIDDEN"))


def test_invite_needs_the_power(user, other, node):
    room = user.create_room(preset="public_chat", power_level_content_override={"invite": 50})
    other.join(room)
    act(other, "invite", room, node.new_user(), expect=(403, "M_FORBIDDEN"))


def test_invite_who_is_in(user, other, room):
    other.join(room)
    act(user, "invite", room, other, expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("body, errcode", [({}, "M_MISSING_PARAM"), ({"user_id": 1}, "M_BAD_JSON"),
                                           ({"user_id": "bob"}, "M_INVALID_PARAM"), ({"user_id": "@a\0b:c"}, "M_INVALID_PARAM")])
@pytest.mark.parametrize("verb", ["invite", "kick", "ban", "unban"])
def test_bad_bodies(user, room, verb, body, errcode):
    user.post(f"/rooms/{quote(room)}/{verb}", body, expect=(400, errcode))


def test_kick(user, other, room):
    other.join(room)
    act(other, "kick", room, user, expect=(403, "M_FORBIDDEN"))
    act(user, "kick", room, other, reason="because")
    content = user.state(room, "m.room.member", other.user_id)
    assert content["membership"] == "leave" and content["reason"] == "because"
    act(user, "kick", room, other, expect=(403, "M_FORBIDDEN"))


def test_ban_and_unban(user, other, room):
    other.join(room)
    act(user, "ban", room, other)
    other.post(f"/join/{quote(room)}", expect=(403, "M_FORBIDDEN"))
    other.get(f"/rooms/{quote(room)}/state", expect=(403, "M_FORBIDDEN"))
    act(user, "invite", room, other, expect=(403, "M_FORBIDDEN"))
    act(user, "unban", room, other)
    assert membership(user, room, other) == "leave"
    act(user, "unban", room, other, expect=(403, "M_FORBIDDEN"))
    other.join(room)


def test_knock(user, other):
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room = user.create_room(initial_state=[rules])
    answer = other.post(f"/knock/{quote(room)}", {"reason": "please"})
    assert answer["room_id"] == room
    assert user.state(room, "m.room.member", other.user_id)["reason"] == "please"
    user.invite(room, other)
    other.join(room)


def test_knock_where_that_is_not_wanted(user, other):
    other.post(f"/knock/{quote(user.create_room())}", expect=(403, "M_FORBIDDEN"))


def test_forget(user, other, room):
    other.join(room)
    other.post(f"/rooms/{quote(room)}/forget", expect=(400, "M_UNKNOWN"))
    other.leave(room)
    other.get(f"/rooms/{quote(room)}/state")
    other.post(f"/rooms/{quote(room)}/forget")
    other.get(f"/rooms/{quote(room)}/state", expect=(403, "M_FORBIDDEN"))
    other.get(f"/rooms/{quote(room)}/messages?dir=b", expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_restricted_join(user, other, node, version):
    club = user.create_room(preset="public_chat")
    rules = {"type": "m.room.join_rules", "state_key": "",
             "content": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}}
    room = user.create_room(room_version=version, initial_state=[rules])
    other.post(f"/join/{quote(room)}", expect=(403, "M_FORBIDDEN"))
    other.join(club)
    other.join(room)
    assert user.state(room, "m.room.member", other.user_id)["join_authorised_via_users_server"] == user.user_id
    outsider = node.new_user()
    outsider.post(f"/join/{quote(room)}", expect=(403, "M_FORBIDDEN"))
    user.invite(room, outsider)
    outsider.join(room)


def guest_of(node):
    from client import Client
    guest = Client(node)
    answer = guest.call("POST", "/register?kind=guest", {}, token=None)
    guest.user_id, guest.token = answer["user_id"], answer["access_token"]
    return guest


def test_guests_join_where_they_may(user, node):
    guest = guest_of(node)
    closed = user.create_room(preset="public_chat")
    guest.post(f"/join/{quote(closed)}", expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
    user.set_state(closed, "m.room.guest_access", {"guest_access": "can_join"})
    guest.join(closed)
    guest.send(closed, "hello")
    user.set_state(closed, "m.room.guest_access", {"guest_access": "forbidden"})
    wait_for(lambda: membership(user, closed, guest) == "leave", 5, what="the guest's leave")


def test_member_event_through_state(user, other, room):
    user.set_state(room, "m.room.member", {"membership": "invite"}, other.user_id)
    assert membership(user, room, other) == "invite"
    other.set_state(room, "m.room.member", {"membership": "join", "displayname": "here only"}, other.user_id)
    assert user.get(f"/rooms/{quote(room)}/joined_members")["joined"][other.user_id]["display_name"] == "here only"
    user.set_state(room, "m.room.member", {"membership": "join"}, "@nobody:localhost", expect=(403, "M_FORBIDDEN"))
    user.set_state(room, "m.room.member", {"membership": "invite"}, "no user", expect=(400, "M_INVALID_PARAM"))


def test_joined_members_are_for_members(user, other, room):
    other.get(f"/rooms/{quote(room)}/joined_members", expect=(403, "M_FORBIDDEN"))


def test_members_by_membership_and_at(user, other, room):
    before = user.messages(room, limit=1)["start"]
    other.join(room)
    everybody = user.get(f"/rooms/{quote(room)}/members")["chunk"]
    assert {event["state_key"] for event in everybody} == {user.user_id, other.user_id}
    earlier = user.get(f"/rooms/{quote(room)}/members", params={"at": before})["chunk"]
    assert {event["state_key"] for event in earlier} == {user.user_id}
    other.leave(room)
    left = user.get(f"/rooms/{quote(room)}/members", params={"membership": "leave"})["chunk"]
    assert [event["state_key"] for event in left] == [other.user_id]
    inside = user.get(f"/rooms/{quote(room)}/members", params={"not_membership": "leave"})["chunk"]
    assert [event["state_key"] for event in inside] == [user.user_id]
    user.get(f"/rooms/{quote(room)}/members", params={"membership": "odd"}, expect=(400, "M_INVALID_PARAM"))


# Invite permission

def block_invites(person, action="block"):
    person.put(f"/user/{person.user_id}/account_data/m.invite_permission_config", {"default_action": action})


def test_who_takes_no_invites_gets_none(user, other):
    early, late = user.create_room(), user.create_room()
    user.invite(early, other)
    block_invites(other)
    blocked = (403, "M_INVITE_BLOCKED")
    user.post(f"/rooms/{quote(late)}/invite", {"user_id": other.user_id}, expect=blocked)
    user.set_state(late, "m.room.member", {"membership": "invite"}, other.user_id, expect=blocked)
    user.post("/createRoom", {"invite": [other.user_id]}, expect=blocked)
    assert other.sync()["rooms"].get("invite", {}) == {}
    assert membership(user, early, other) == "invite"
    block_invites(other, "of a later version")
    user.invite(late, other)
    assert set(other.sync()["rooms"]["invite"]) == {early, late}
    other.join(early)


def test_nobody_vouches_for_himself(user, other):
    """Who vouches for a join is the server's to say, not the client's."""
    room = user.create_room(preset="public_chat")
    other.join(room)
    user.set_state(room, "m.room.member", {"membership": "join", "displayname": "x",
                                           "join_authorised_via_users_server": user.user_id}, state_key=user.user_id)
    assert user.state(room, "m.room.member", user.user_id) == {"membership": "join", "displayname": "x"}


def test_mutual_rooms(user, other, node):
    def mutual(client, **query):
        return client.request("GET", "/_matrix/client/v1/mutual_rooms", params=query)

    both = [user.create_room(preset="public_chat") for _ in range(2)]
    for room in both:
        other.join(room)
    invited = user.create_room(invite=[other.user_id])
    gone = user.create_room(preset="public_chat")
    other.join(gone)
    other.leave(gone)
    assert mutual(user, user_id=other.user_id).json() == {"joined": sorted(both), "count": 2}
    assert mutual(other, user_id=user.user_id).json()["joined"] == sorted(both)
    assert mutual(other, user_id="@nobody:localhost").json() == {"joined": [], "count": 0}
    for wrong in ({}, {"user_id": "nobody"}, {"user_id": user.user_id}, {"user_id": other.user_id, "from": "x"}):
        answer = mutual(user, **wrong)
        assert (answer.status_code, answer.json()["errcode"]) == (400, "M_INVALID_PARAM")
    assert invited not in mutual(user, user_id=other.user_id).text
