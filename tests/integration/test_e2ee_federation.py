"""Encryption across servers: keys, changes of devices, messages to devices."""

import time

import pytest

from e2ee import CrossSigning, Device, Key, claim, query
from signed import Impostor
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


def requests_for(user, by):
    """How often node `by` asked for a user's devices."""
    return by.log_text().count(f"Asking for the devices of {user.user_id}")


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
    assert requests_for(bob, alice.node) == 1
    told = bob.node.sql(f"SELECT stream_id FROM device_list_stream WHERE user_id = '{bob.user_id}'").strip()
    assert kept_list(alice.node, bob) == f"{told}|f"


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
    assert answer["failures"] == {}
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


# --- Hostile servers


def to_device(sender, user, message_id, content=None):
    return "m.direct_to_device", {"sender": sender, "type": "m.test", "message_id": message_id,
                                  "messages": {user.user_id: {user.device_id: content or {"id": message_id}}}}


def update(user_id, stream_id, device_id="D", **more):
    return "m.device_list_update", {"user_id": user_id, "device_id": device_id, "stream_id": stream_id, **more}


def changes(node, user_id):
    return node.sql(f"SELECT position FROM device_list_change WHERE user_id = '{user_id}'").strip()


def test_a_message_id_is_delivered_once(pair):
    """A transaction that is sent again under another id, after a crash of its sender."""
    alice, bob = pair
    hostile = Impostor(bob.node)
    for _ in range(3):
        hostile.send_edus(alice.node, to_device(bob.user_id, alice, "same"))
    hostile.send_edus(alice.node, to_device(bob.user_id, alice, "other"))
    assert len(mailbox(alice, alice.node)) == 2


def test_CVE_2024_6301_fed_edu_origin_of_messages(pair):
    """Entries that name users of other servers are dropped, one by one."""
    alice, bob = pair
    Impostor(bob.node).send_edus(
        alice.node, to_device("@carol:third.example", alice, "third"), to_device(alice.user_id, alice, "own"),
        to_device("nonsense", alice, "nonsense"), to_device(bob.user_id, alice, "valid"),
        to_device(bob.user_id + "\0", alice, "nul"))
    assert ['"valid"' in message for message in mailbox(alice, alice.node)] == [True]
    _, content = to_device(bob.user_id, alice, "mixed")
    content["messages"]["@carol:third.example"] = {"*": {}}
    content["messages"]["broken"] = {"*": {}}
    content["messages"][bob.user_id] = {"*": {}}
    Impostor(bob.node).send_edus(alice.node, ("m.direct_to_device", content))
    assert len(mailbox(alice, alice.node)) == 2
    assert mailbox(bob, alice.node) == []


def test_CVE_2024_6301_fed_edu_origin_of_device_lists(pair):
    alice, bob = pair
    carol = alice.node.new_user("carol")
    carol.join(alice.room)
    device, signing = Device(carol), CrossSigning(carol)
    device.upload()
    signing.upload()
    before = changes(alice.node, carol.user_id)
    forged = {**CrossSigning(carol).body(), "user_id": carol.user_id}
    Impostor(bob.node).send_edus(
        alice.node, update(carol.user_id, 7, carol.device_id, keys=Device(carol).identity()),
        update(carol.user_id, 8, carol.device_id, deleted=True), update("@dave:third.example", 1),
        ("m.signing_key_update", forged), ("m.signing_key_update", {"user_id": "@dave:third.example"}))
    assert changes(alice.node, carol.user_id) == before
    shown = query(alice, carol)
    assert shown["master_keys"][carol.user_id] == signing.master_key
    assert shown["device_keys"][carol.user_id][carol.device_id]["keys"] == device.identity()["keys"]
    assert changes(alice.node, "@dave:third.example") == ""


def test_edus_of_a_wrong_shape_are_dropped(pair):
    alice, bob = pair
    kinds = ("m.direct_to_device", "m.device_list_update", "m.signing_key_update")
    shapes = [None, [], "x", 7, {}, {"user_id": None}, {"user_id": bob.user_id}, {"sender": bob.user_id},
              {"user_id": bob.user_id, "stream_id": "1"}, {"user_id": bob.user_id, "stream_id": -1},
              {"user_id": bob.user_id, "stream_id": 2 ** 53 - 1, "prev_id": {}, "keys": [], "device_id": 5},
              {"user_id": bob.user_id, "stream_id": 3, "keys": {"x": "y"}, "device_id": "\0"},
              {"user_id": bob.user_id, "master_key": [], "self_signing_key": {"keys": 1}},
              {"sender": bob.user_id, "type": "t", "message_id": "m", "messages": []},
              {"sender": bob.user_id, "type": "t", "message_id": "n", "messages": {alice.user_id: {"*": 1, "\0": {}}}},
              {"sender": bob.user_id, "type": "t", "message_id": "o", "messages": {alice.user_id: []}},
              {"sender": bob.user_id, "type": 1, "message_id": "p", "messages": {alice.user_id: {"*": {}}}}]
    Impostor(bob.node).send_edus(alice.node, *[(kind, shape) for kind in kinds for shape in shapes])
    assert mailbox(alice, alice.node) == []
    device = Device(bob)
    device.upload()
    wait_for(lambda: bob.device_id in (devices(alice, bob) or {}))


def kept_list(node, user):
    """Number and staleness of what the node keeps of another server's user."""
    return node.sql(f"SELECT stream_id, stale FROM remote_device_list WHERE user_id = '{user.user_id}'").strip()


def test_e2ee_amplification_by_news_of_what_is_known(pair):
    """News that come after the list which they are of, or twice, are told to clients, and nobody is asked again."""
    alice, bob = pair
    device = Device(bob)
    device.upload()
    assert wait_for(lambda: devices(alice, bob))
    told = int(bob.node.sql(f"SELECT stream_id FROM device_list_stream WHERE user_id = '{bob.user_id}'"))
    wait_for(lambda: kept_list(alice.node, bob) == f"{told}|f")
    since = alice.sync()["next_batch"]
    before = requests_for(bob, alice.node)
    news = update(bob.user_id, told, device.device_id, prev_id=[told - 1], keys=device.identity())
    Impostor(bob.node).send_edus(alice.node, news, news)
    assert bob.user_id in alice.sync(since=since)["device_lists"]["changed"]
    assert kept_list(alice.node, bob) == f"{told}|f"
    # The next follow, whatever number the list had: older ones are in it.
    Impostor(bob.node).send_edus(alice.node, update(bob.user_id, told + 7, "D", prev_id=[max(told - 1, 0)]))
    assert kept_list(alice.node, bob) == f"{told + 7}|f"
    time.sleep(1)
    assert requests_for(bob, alice.node) == before


def test_e2ee_amplification_by_device_list_updates(pair):
    """Endless news that do not follow on anything: the list is asked for a few times at most."""
    alice, bob = pair
    hostile = Impostor(bob.node)
    before = requests_for(bob, alice.node)
    for batch in range(10):
        hostile.send_edus(alice.node, *[update(bob.user_id, 1000 + 100 * batch + n, prev_id=[n * 7 + batch])
                                        for n in range(100)])
    time.sleep(2)
    assert requests_for(bob, alice.node) - before <= 2


def test_e2ee_amplification_by_users_who_share_no_room(pair):
    alice, bob = pair
    stranger = bob.node.new_user("stranger")
    Impostor(bob.node).send_edus(alice.node, *[update(f"@s{n}:{bob.node.server_name}", 1) for n in range(99)],
                                 update(stranger.user_id, 1))
    assert changes(alice.node, stranger.user_id) == ""
    assert requests_for(stranger, alice.node) == 0
    assert alice.node.sql("SELECT count(*) FROM remote_device_list WHERE user_id LIKE '@s%'").strip() == "0"


def test_many_messages_of_one_request_all_arrive(pair):
    """More than one EDU holds, for several devices."""
    alice, bob = pair
    phone = alice.another_device()
    by_device = {client.device_id: {"x": "x" * 40000} for client in (alice, phone)}
    for txn in range(5):
        bob.put(f"/sendToDevice/m.test/{txn}", {"messages": {alice.user_id: by_device}})
    wait_for(lambda: len(mailbox(alice, alice.node)) == len(mailbox(phone, alice.node)) == 5)


def test_e2ee_amplification_by_recipients_and_size(pair):
    alice, bob = pair
    many = {f"@u{n}:{alice.node.server_name}": {f"D{m}": {} for m in range(100)} for n in range(101)}
    many[alice.user_id] = {"*": {"x": "x" * 70000}}
    Impostor(bob.node).send_edus(alice.node, ("m.direct_to_device", {
        "sender": bob.user_id, "type": "m.test", "message_id": "many", "messages": many}))
    assert mailbox(alice, alice.node) == []


def test_CVE_2023_43796_only_own_users_over_federation(pair):
    """What is kept of another server's user is not handed on: the answers are those for an unknown one."""
    alice, bob = pair
    device, signing = Device(bob), CrossSigning(bob)
    device.upload(5)
    signing.upload()
    assert wait_for(lambda: devices(alice, bob))
    curious, base = Impostor(bob.node), "/_matrix/federation/v1/user"
    for name in (bob.user_id, "@nobody:globex.localhost", "@nobody:third.example"):
        answer = curious.request(alice.node, "POST", f"{base}/keys/query", {"device_keys": {name: []}}).json()
        assert answer == {"device_keys": {}, "master_keys": {}, "self_signing_keys": {}}
        answer = curious.request(alice.node, "POST", f"{base}/keys/claim",
                                 {"one_time_keys": {name: {device.device_id: "signed_curve25519"}}}).json()
        assert answer == {"one_time_keys": {}}
        answer = curious.request(alice.node, "GET", f"{base}/devices/{name}".replace("@", "%40").replace(":", "%3A"))
        assert answer.status_code == 404, answer.text


def test_user_signing_keys_and_others_signatures_stay_here(pair):
    alice, bob = pair
    carol = alice.node.new_user("carol")
    mine, theirs = CrossSigning(carol), CrossSigning(alice)
    mine.upload()
    theirs.upload()
    signed = mine.user_signing.sign(theirs.master_key, carol.user_id)
    carol.post("/keys/signatures/upload", {alice.user_id: {theirs.master.public: signed}})
    answer = Impostor(bob.node).request(alice.node, "POST", "/_matrix/federation/v1/user/keys/query",
                                        {"device_keys": {alice.user_id: []}}).json()
    assert answer["master_keys"][alice.user_id] == theirs.master_key
    assert "user_signing_keys" not in answer


def test_keys_that_another_server_makes_up_for_others_are_ignored(pair):
    """An update names the device of another user, or other keys than it says."""
    alice, bob = pair
    known = Device(bob)
    known.upload()
    assert wait_for(lambda: devices(alice, bob))
    told = int(bob.node.sql(f"SELECT stream_id FROM device_list_stream WHERE user_id = '{bob.user_id}'"))
    forged = {**known.identity(), "user_id": alice.user_id, "keys": {"ed25519:D": Key().public}}
    Impostor(bob.node).send_edus(alice.node, update(bob.user_id, told + 1, "D", prev_id=[told], keys=forged))
    assert set(devices(alice, bob)) == {known.device_id}
