"""Encryption across servers: keys, changes of devices, messages to devices."""

import time

import pytest

from e2ee import CrossSigning, Device, claim, query
from test_e2ee import mailbox, parallel

pytestmark = pytest.mark.peers


def wait_for(found, seconds=15):
    end = time.monotonic() + seconds
    while True:
        result = found()
        if result:
            return result
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


@pytest.fixture
def pair(two_nodes):
    """Two people of two nodes, in one room."""
    alice, bob = two_nodes[0].new_user("alice"), two_nodes[1].new_user("bob")
    room = alice.create_room(preset="public_chat")
    bob.join(room, via=[alice.node.server_name])
    wait_for(lambda: bob.user_id in alice.get(f"/rooms/{room}/joined_members")["joined"])
    alice.room = bob.room = room
    return alice, bob


def devices(viewer, user):
    return query(viewer, user)["device_keys"].get(user.user_id)


def requests_for(user):
    """How often the user's node was asked for his devices."""
    return user.node.log_text().count(f"/user/devices/{user.user_id.replace('@', '%40').replace(':', '%3A')}")


def test_keys_of_another_servers_user(two_nodes):
    """No room is shared: the user's server is asked each time."""
    alice, bob = two_nodes[0].new_user("alice"), two_nodes[1].new_user("bob")
    device, signing = Device(bob), CrossSigning(bob)
    device.upload()
    signing.upload()
    shown = query(alice, bob)
    keys = shown["device_keys"][bob.user_id][bob.device_id]
    assert keys.pop("unsigned", {}) == {}
    assert keys == device.identity()
    assert shown["master_keys"][bob.user_id] == signing.master_key
    assert shown["self_signing_keys"][bob.user_id] == signing.body()["self_signing_key"]
    assert shown["user_signing_keys"] == {}
    device.client.delete(f"/devices/{bob.device_id}", {"auth": signing.password()})
    assert devices(alice, bob) == {}


def test_devices_are_kept_and_updated(pair):
    """Once a room is shared, changes are told and nobody is asked again."""
    alice, bob = pair
    first = Device(bob)
    first.upload()
    assert wait_for(lambda: devices(alice, bob)) == {bob.device_id: {**first.identity(), "unsigned": {}}}
    second = Device(bob.another_device())
    second.upload()
    wait_for(lambda: set(devices(alice, bob)) == {first.device_id, second.device_id})
    second.client.post("/logout")
    wait_for(lambda: set(devices(alice, bob)) == {first.device_id})
    kept = alice.node.sql(f"SELECT stream_id, stale FROM remote_device_list WHERE user_id = '{bob.user_id}'").strip()
    told = bob.node.sql(f"SELECT stream_id FROM device_list_stream WHERE user_id = '{bob.user_id}'").strip()
    assert kept == f"{told}|f"


def test_cross_signing_is_told(pair):
    alice, bob = pair
    device, signing = Device(bob), CrossSigning(bob)
    device.upload()
    wait_for(lambda: devices(alice, bob))
    signing.upload()
    wait_for(lambda: query(alice, bob)["master_keys"].get(bob.user_id) == signing.master_key)
    signed = signing.self_signing.sign(device.identity(), bob.user_id)
    bob.post("/keys/signatures/upload", {bob.user_id: {bob.device_id: signed}})
    wait_for(lambda: devices(alice, bob)[bob.device_id]["signatures"] == signed["signatures"])
    master = device.sign(signing.master_key)
    bob.post("/keys/signatures/upload", {bob.user_id: {signing.master.public: master}})
    wait_for(lambda: query(alice, bob)["master_keys"][bob.user_id] == master)


def test_a_user_of_another_server_is_verified(pair):
    alice, bob = pair
    mine, theirs = CrossSigning(alice), CrossSigning(bob)
    mine.upload()
    theirs.upload()
    signed = mine.user_signing.sign(theirs.master_key, alice.user_id)
    answer = alice.post("/keys/signatures/upload", {bob.user_id: {theirs.master.public: signed}})
    assert answer["failures"] == {bob.user_id: {}}
    assert query(alice, bob)["master_keys"][bob.user_id] == signed
    assert query(alice.node.new_user(), bob)["master_keys"][bob.user_id] == theirs.master_key


def test_devices_are_asked_for_anew_after_a_gap(pair):
    """What changed while no room was shared was told to nobody."""
    alice, bob = pair
    first = Device(bob)
    first.upload()
    assert wait_for(lambda: devices(alice, bob))
    bob.leave(bob.room)
    wait_for(lambda: bob.user_id not in alice.get(f"/rooms/{bob.room}/joined_members")["joined"])
    second = Device(bob.another_device())
    second.upload()
    bob.join(bob.room, via=[alice.node.server_name])
    wait_for(lambda: bob.user_id in alice.get(f"/rooms/{bob.room}/joined_members")["joined"])
    assert set(devices(alice, bob)) == {first.device_id, second.device_id}


def test_one_time_key_reuse_across_servers(pair):
    alice, bob = pair
    device = Device(bob)
    fallback = {"signed_curve25519:FALL": device.sign({"key": device.curve, "fallback": True})}
    device.upload(20, fallback_keys=fallback)
    claimers = [alice] * 20 + [bob] * 20
    got = parallel([lambda who=who: claim(who, device) for who in claimers], 20)
    names = [key[0] for key in got if key]
    single = [name for name in names if name != "signed_curve25519:FALL"]
    assert len(single) == len(set(single)) == 20
    assert len(names) == 40


def test_messages_to_devices_of_both_servers(pair):
    alice, bob = pair
    second = bob.another_device()
    body = {"messages": {bob.user_id: {bob.device_id: {"n": 1}}, alice.user_id: {"*": {"n": 2}}}}
    alice.put("/sendToDevice/m.test/1", body)
    wait_for(lambda: len(mailbox(bob, bob.node)) == 1)
    assert len(mailbox(alice, alice.node)) == 1
    alice.put("/sendToDevice/m.test/2", {"messages": {bob.user_id: {"*": {"n": 3}}}})
    wait_for(lambda: len(mailbox(bob, bob.node)) == 2 and len(mailbox(second, bob.node)) == 1)
    assert all(alice.user_id in message for message in mailbox(bob, bob.node))


def test_CVE_2025_61672_bad_uploads_do_not_stop_updates(pair):
    """After uploads that are refused, other users' updates still go out."""
    alice, bob = pair
    mallory = alice.node.new_user("mallory")
    mallory.join(alice.room)
    for bad in ({"device_keys": {"user_id": mallory.user_id}}, {"device_keys": None}, {"one_time_keys": [None]}):
        mallory.post("/keys/upload", bad, expect=400)
    device = Device(alice)
    device.upload()
    wait_for(lambda: (devices(bob, alice) or {}).get(alice.device_id))
