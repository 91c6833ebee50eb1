"""What another server can make this one keep: it has an end, in memory and in the database."""

import threading
import uuid

import pytest

from fedpeer import Peer, PeerRoom, introduce, now, quote
from machine import wait_for
from node import resolve_each_other

pytestmark = pytest.mark.peers

DANA, EVE, FAYE = "@dana:peer.test", "@eve:peer.test", "@faye:peer.test"


def shared(federated, version="11"):
    """(user of the node, room as the peer sees it)"""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room_id = alice.create_room(preset="public_chat", room_version=version)
    return alice, PeerRoom.join(peer, node, room_id, DANA)


def presence_edu(*people):
    return {"edu_type": "m.presence", "content": {"push": [
        {"user_id": user, "presence": state, "status_msg": status} for user, state, status in people]}}


def test_class_presence_memory_of_status_messages(federated):
    """A message longer than a user of this server could set is not kept; that its owner is there is told all the same."""
    node, peer, _ = federated
    alice, room = shared(federated)
    since = alice.sync()["next_batch"]
    peer.send(node, edus=[presence_edu((DANA, "unavailable", "x" * 1024))])
    assert alice.get(f"/presence/{DANA}/status")["status_msg"] == "x" * 1024
    peer.send(node, edus=[presence_edu((DANA, "online", "x" * 1025))])
    shown = alice.get(f"/presence/{DANA}/status")
    assert shown["presence"] == "online" and "status_msg" not in shown
    peer.send(node, edus=[presence_edu((DANA, "unavailable", "x" * 5_000_000))])
    found, _ = alice.sync_until(lambda answer: [event["content"] for event in answer["presence"]["events"]
                                                if event["sender"] == DANA], since)
    assert found[-1]["presence"] == "unavailable" and "status_msg" not in found[-1]
    peer.send(node, edus=[presence_edu((DANA, "online", ["no text"] * 3))])
    assert "status_msg" not in alice.get(f"/presence/{DANA}/status")


def test_class_presence_memory_of_strangers(federated):
    """Of users who share no room with anybody here nothing is kept, though their names are known."""
    node, peer, _ = federated
    alice, room = shared(federated)
    for membership in ("join", "leave"):
        room.send(node, EVE, "m.room.member", {"membership": membership}, EVE)
    peer.send(node, edus=[presence_edu((EVE, "online", "too late"), (DANA, "online", "in time"))])
    assert alice.get(f"/presence/{DANA}/status")["status_msg"] == "in time"
    room.send(node, EVE, "m.room.member", {"membership": "join"}, EVE)
    assert alice.get(f"/presence/{EVE}/status")["presence"] == "offline"
    peer.send(node, edus=[presence_edu((EVE, "online", "in time"))])
    assert alice.get(f"/presence/{EVE}/status")["status_msg"] == "in time"


def test_class_presence_memory_while_a_join_goes_on(federated):
    """As long as it does, people are kept who may be about to be met; they leave place for those who have been."""
    node, peer, _ = federated
    alice, room = shared(federated)
    far, go_on = PeerRoom.create(peer, DANA), threading.Event()
    peer.host(far)
    peer.on("PUT", "/send_join/", lambda *_: go_on.wait(60) and (403, {"errcode": "M_FORBIDDEN"}))
    joining = threading.Thread(target=alice.request, args=("POST", f"/join/{quote(far.room_id)}"),
                               kwargs={"params": {"via": "peer.test"}, "json": {}})
    joining.start()
    wait_for(lambda: peer.asked(f"/send_join/{far.room_id}"), what="the join")
    for start in range(3):
        crowd = [f"@{start}-{number}:peer.test" for number in range(80_000)]
        peer.send(node, edus=[presence_edu(*[(user, "online", None) for user in crowd[first:first + 1000]])
                              for first in range(0, 80_000, 1000)])
    go_on.set()
    joining.join()
    room.send(node, FAYE, "m.room.member", {"membership": "join"}, FAYE)
    peer.send(node, edus=[presence_edu((FAYE, "online", "still here"))])
    assert alice.get(f"/presence/{FAYE}/status").get("status_msg") == "still here"
    bob = node.new_user("bob")
    bob.put(f"/presence/{bob.user_id}/status", {"presence": "unavailable"})
    assert bob.get(f"/presence/{bob.user_id}/status")["presence"] == "unavailable"


def receipt_edu(room, user, event_id, thread=None):
    data = {"ts": now(), **({} if thread is None else {"thread_id": thread})}
    return {"edu_type": "m.receipt", "content": {room.room_id: {"m.read": {user: {"data": data, "event_ids": [event_id]}}}}}


def threads_read(node, room, user):
    """thread id -> event id of what is kept"""
    rows = node.sql("SELECT thread_id, event_id FROM receipt JOIN sym ON sym.id = receipt.room"
                    f" WHERE sym.text = '{room.room_id}' AND user_id = '{user}'")
    return dict(row.split("|") for row in rows.split())


def test_class_fed_row_flood_by_threads_of_receipts(federated):
    """Receipts are of threads that there are, and of the newest hundred in which a user read something."""
    node, peer, _ = federated
    alice, room = shared(federated)
    stranger = alice.create_room(preset="public_chat")
    elsewhere = alice.send(stranger, "in another room")
    read = room.say(node, DANA, "read me")
    old_root = "$" + "o" * 43  # from before the node came into the room
    relation = {"rel_type": "m.thread", "event_id": old_root}
    reply = room.send(node, DANA, "m.room.message", {"msgtype": "m.text", "body": "reply", "m.relates_to": relation})
    peer.send(node, edus=[
        receipt_edu(room, DANA, read), receipt_edu(room, DANA, read, "main"), receipt_edu(room, DANA, read, read),
        receipt_edu(room, DANA, reply, old_root), *[receipt_edu(room, DANA, read, wrong) for wrong in (
            "$" + "n" * 43, elsewhere, "thread", DANA, "$" + "x" * 300)]])
    kept = {"": read, "main": read, read: read, old_root: reply}
    assert threads_read(node, room, DANA) == kept

    roots = [room.id_of(room.add(room.message(DANA, f"root {number}"))) for number in range(120)]
    for start in range(0, 120, 40):
        peer.send(node, *[peer.events[root] for root in roots[start:start + 40]])
    peer.send(node, edus=[receipt_edu(room, DANA, root, root) for root in roots[:80]])
    peer.send(node, edus=[receipt_edu(room, DANA, read), *[receipt_edu(room, DANA, root, root) for root in roots[80:]]])
    assert threads_read(node, room, DANA) == {"": read, "main": read, **{root: root for root in roots[20:]}}


def put_invite(peer, node, user_id, text="", version="11"):
    """Invites to a room of nobody's; returns (room, event, answer)."""
    room = PeerRoom(peer, f"!{uuid.uuid4().hex}:peer.test", version)
    event = room.make(DANA, "m.room.member", {"membership": "invite", "text": text}, user_id, prev_events=["$" + "p" * 43])
    path = f"/_matrix/federation/v2/invite/{quote(room.room_id)}/{quote(room.id_of(event))}"
    state = [{"type": "m.room.topic", "state_key": "", "sender": DANA, "content": {"topic": text[:40000]}}]
    return room, event, peer.request(node, "PUT", path, {"room_version": version, "event": event, "invite_room_state": state})


def outside(node, user_id, membership):
    return int(node.sql("SELECT count(*) FROM outside_membership o JOIN sym ON sym.id = o.user_id"
                        f" WHERE sym.text = '{user_id}' AND o.membership = '{membership}'"))


def copy_outside(node, room, count):
    """As many more rows as this one, of rooms that are not there, older than it."""
    node.sql("INSERT INTO outside_membership SELECT user_id, -n, membership, event_id, event, stripped, version, position - n"
             f" FROM outside_membership, generate_series (1, {count}) n"
             f" WHERE room = (SELECT id FROM sym WHERE text = '{room.room_id}')")


def test_class_fed_row_flood_by_invites(federated):
    """What waits for one user's answer has an end, in number and size; when he answers there is room again."""
    node, peer, _ = federated
    alice, bob = node.new_user("alice"), node.new_user("bob")
    answers = [put_invite(peer, node, alice.user_id, "x" * 60000)[2].status_code for _ in range(90)]
    assert 75 < answers.count(200) < 85 and answers == sorted(answers) and answers[-1] == 403
    assert len(alice.sync()["rooms"]["invite"]) == answers.count(200)
    known = node.sql("SELECT count(*) FROM sym")
    assert put_invite(peer, node, alice.user_id, "x" * 60000)[2].json()["errcode"] == "M_FORBIDDEN"
    assert node.sql("SELECT count(*) FROM sym") == known

    first = put_invite(peer, node, bob.user_id)[0]
    copy_outside(node, first, 498)
    assert put_invite(peer, node, bob.user_id)[2].status_code == 200
    assert put_invite(peer, node, bob.user_id)[2].status_code == 403
    bob.leave(first.room_id)
    assert put_invite(peer, node, bob.user_id)[2].status_code == 200
    assert put_invite(peer, node, bob.user_id)[2].status_code == 403
    assert outside(node, bob.user_id, "invite") == 500


def test_class_fed_row_flood_by_invites_taken_back(federated):
    """Of those that are over only the newest are kept, without what they showed of the room."""
    node, peer, _ = federated
    alice = node.new_user("alice")
    room, event, _ = put_invite(peer, node, alice.user_id, "x" * 1000)
    back = room.make(DANA, "m.room.member", {"membership": "leave"}, alice.user_id, prev_events=[room.id_of(event)],
                     auth_events=[room.id_of(event)])
    since = alice.sync()["next_batch"]
    peer.send(node, back)
    assert room.room_id in alice.sync(since=since)["rooms"]["leave"]
    assert "xxx" not in node.sql("SELECT encode (stripped, 'escape') FROM outside_membership o JOIN sym ON sym.id = o.user_id"
                                 f" WHERE sym.text = '{alice.user_id}'")
    copy_outside(node, room, 600)
    last = put_invite(peer, node, alice.user_id)[0]
    since = alice.sync()["next_batch"]
    alice.leave(last.room_id)
    assert outside(node, alice.user_id, "leave") == 500
    assert last.room_id in alice.sync(since=since)["rooms"]["leave"]


def test_class_rate_limit_bypass_of_invites_from_afar(authority, make_node):
    """They are limited by who is invited, whoever invites; and he may go on inviting others."""
    peers = [Peer(name, authority).start() for name in ("peer.test", "third.test")]
    node = make_node("acme.localhost", {"limits": {"enabled": True, "invite": "0.01;3"}}, tls=authority.issue("acme.localhost"),
                     ca=authority.ca)
    resolve_each_other([node, *peers])
    node.start()
    introduce(node, *peers)
    alice, bob = node.new_user("alice"), node.new_user("bob")
    answers = [put_invite(peers[0], node, alice.user_id)[2] for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["errcode"] == "M_LIMIT_EXCEEDED" and answers[3].json()["retry_after_ms"] > 0
    assert put_invite(peers[0], node, bob.user_id)[2].status_code == 200
    alice.create_room(invite=[bob.user_id])
    for peer in peers:
        peer.stop()


def device(user_id, device_id, bytes_of_key=43, **more):
    keys = {"user_id": user_id, "device_id": device_id, "algorithms": [], "keys": {f"ed25519:{device_id}": "k" * bytes_of_key}}
    return {"device_id": device_id, "keys": keys, **more}


def signing_key(user_id, usage, bytes_of_key=43):
    return {"user_id": user_id, "usage": [usage], "keys": {"ed25519:" + "k" * bytes_of_key: "k" * bytes_of_key}}


def test_class_fed_row_flood_by_fetched_keys(federated):
    """Of a whole list, too, a device or key that is too large is left out, and a name is no story."""
    node, peer, _ = federated
    alice, _ = shared(federated)
    peer.on("GET", "/user/devices/", lambda *_: {
        "user_id": DANA, "stream_id": 1,
        "devices": [device(DANA, "LARGE", 70000), device(DANA, "STORY", device_display_name="x" * 70000), device(DANA, "L" * 300),
                    device(DANA, "NAMED", device_display_name="Phone")],
        "master_key": signing_key(DANA, "master", 70000), "self_signing_key": signing_key(DANA, "self_signing")})
    shown = alice.post("/keys/query", {"device_keys": {DANA: []}})
    assert set(shown["device_keys"][DANA]) == {"STORY", "NAMED"}
    assert shown["device_keys"][DANA]["STORY"]["unsigned"] == {}
    assert shown["device_keys"][DANA]["NAMED"]["unsigned"] == {"device_display_name": "Phone"}
    assert DANA not in shown["master_keys"] and DANA in shown["self_signing_keys"]


def test_class_fed_row_flood_by_device_list_updates(federated):
    """One by one updates make a list no larger than it could come at once."""
    node, peer, _ = federated
    alice, room = shared(federated)
    room.send(node, EVE, "m.room.member", {"membership": "join"}, EVE)
    answers = [{"user_id": EVE, "stream_id": 1, "devices": [device(EVE, "FIRST")]}, {}]
    peer.on("GET", f"/user/devices/{quote(EVE)}", lambda *_: answers.pop(0) if len(answers) > 1 else answers[0])
    assert set(alice.post("/keys/query", {"device_keys": {EVE: []}})["device_keys"][EVE]) == {"FIRST"}

    for start in range(2, 200, 90):
        peer.send(node, edus=[{"edu_type": "m.device_list_update", "content": {
            "user_id": EVE, "stream_id": number, "prev_id": [number - 1], **device(EVE, f"D{number}", 60000)}}
            for number in range(start, start + 90)])
    wait_for(lambda: len(peer.asked("/user/devices/" + EVE)) > 1, what="the question for the whole list")
    kept = int(node.sql(f"SELECT sum(octet_length(keys)) FROM remote_device WHERE user_id = '{EVE}'"))
    assert 7_000_000 < kept <= 8 << 20
