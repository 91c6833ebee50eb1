"""Encryption as /sync tells it: changed devices, messages to devices, how many keys are left."""

import pytest

from client import quote
from e2ee import CrossSigning, Device, claim
from signed import Impostor


def changed(answer):
    return set(answer.get("device_lists", {}).get("changed", []))


def left(answer):
    return set(answer.get("device_lists", {}).get("left", []))


def until_changed(client, user, since):
    return client.sync_until(lambda answer: user.user_id in changed(answer), since)[1]


def here(client):
    return client.sync()["next_batch"]


def messages(answer):
    return [event["content"]["n"] for event in answer.get("to_device", {}).get("events", [])]


@pytest.fixture
def sharing(user, other):
    user.room = user.create_room(preset="public_chat")
    other.join(user.room)
    return user, other


def test_changes_are_told_to_whoever_shares_a_room(sharing, node):
    user, other = sharing
    stranger = node.new_user("stranger")
    device, signing = Device(user), CrossSigning(user)
    watchers = (user, other)
    since = [here(watcher) for watcher in watchers]
    apart = here(stranger)

    def all_see(change):
        change()
        since[:] = [until_changed(watcher, user, token) for watcher, token in zip(watchers, since)]

    all_see(device.upload)
    all_see(signing.upload)
    signed = signing.self_signing.sign(device.identity(), user.user_id)
    all_see(lambda: user.post("/keys/signatures/upload", {user.user_id: {user.device_id: signed}}))
    all_see(lambda: user.put(f"/devices/{user.device_id}", {"display_name": "new"}))
    # A new device is one before it has keys; signing in on it again is no news.
    made = []
    all_see(lambda: made.append(user.another_device()))
    second = made[0]
    again = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id},
             "password": user.password, "device_id": second.device_id}
    second.token = user.post("/login", again)["access_token"]
    assert not [watcher for watcher, token in zip(watchers, since) if changed(watcher.sync(token))]
    all_see(Device(second).upload)
    all_see(lambda: second.post("/logout"))
    assert changed(stranger.sync(apart)) == set()


def test_a_long_poll_wakes_for_a_change(sharing):
    user, other = sharing
    since = here(other)
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        poll = threads.submit(lambda: other.sync(since, timeout=20000))
        Device(user).upload()
        assert user.user_id in changed(poll.result(15))


def test_the_same_upload_changes_nothing(sharing):
    user, other = sharing
    device = Device(user)
    device.upload()
    since = here(other)
    device.upload(5)
    assert changed(other.sync(since)) == set()


def test_only_the_owner_hears_of_the_user_signing_key(sharing):
    user, other = sharing
    signing, renewed = CrossSigning(user), CrossSigning(user)
    signing.upload()
    mine, theirs = here(user), here(other)
    signing.user_signing = renewed.user_signing
    body = {"user_signing_key": signing.body()["user_signing_key"], "auth": signing.password()}
    user.post("/keys/device_signing/upload", body)
    until_changed(user, user, mine)
    assert changed(other.sync(theirs)) == set()


def test_only_the_signer_hears_of_his_verification(sharing):
    user, other = sharing
    mine, theirs = CrossSigning(user), CrossSigning(other)
    mine.upload()
    theirs.upload()
    here_, there = here(user), here(other)
    signed = mine.user_signing.sign(theirs.master_key, user.user_id)
    user.post("/keys/signatures/upload", {other.user_id: {theirs.master.public: signed}})
    until_changed(user, other, here_)
    assert changed(other.sync(there)) == set()


def test_newcomers_and_leavers(user, other):
    room = user.create_room(preset="public_chat")
    since = here(user)
    other.join(room)
    since = until_changed(user, other, since)
    other.leave(room)
    _, since = user.sync_until(lambda answer: other.user_id in left(answer), since)
    second = user.create_room(preset="public_chat")
    third = user.create_room(preset="public_chat")
    other.join(second)
    other.join(third)
    since = until_changed(user, other, since)
    other.leave(second)
    answer = user.sync(since, timeout=1000)
    assert left(answer) == set(), "they share another room"


def test_somebody_invited_is_told_of(user, other):
    """Clients encrypt for whom they have invited."""
    room = user.create_room()
    since = here(user)
    user.invite(room, other)
    until_changed(user, other, since)


def test_changes_between_two_syncs(sharing, node):
    user, other = sharing
    first = here(other)
    Device(user).upload()
    second = until_changed(other, user, first)
    stranger = node.new_user("stranger")
    stranger.join(user.room)
    third = until_changed(other, stranger, second)

    def between(from_, to):
        return other.get("/keys/changes", params={"from": from_, "to": to})

    assert between(first, second) == {"changed": [user.user_id], "left": []}
    assert between(second, third) == {"changed": [stranger.user_id], "left": []}
    assert set(between(first, third)["changed"]) == {user.user_id, stranger.user_id}
    assert between(third, third) == {"changed": [], "left": []}
    for query in ({"from": first}, {"to": first}, {"from": "nonsense", "to": first}):
        assert other.request("GET", "/keys/changes", params=query).status_code == 400


def test_counts_of_keys(user, other):
    answer = user.sync()
    assert answer["device_one_time_keys_count"] == {"signed_curve25519": 0}
    assert answer["device_unused_fallback_key_types"] == []
    device = Device(user)
    fallback = {"signed_curve25519:FALL": device.sign({"key": device.curve, "fallback": True})}
    device.upload(2, fallback_keys=fallback)

    def seen():
        answer = user.sync()
        return answer["device_one_time_keys_count"]["signed_curve25519"], answer["device_unused_fallback_key_types"]

    assert seen() == (2, ["signed_curve25519"])
    claim(other, device)
    assert seen() == (1, ["signed_curve25519"])
    claim(other, device)
    claim(other, device)
    assert seen() == (0, [])
    user.post("/keys/upload", {"fallback_keys": fallback})
    assert seen() == (0, []), "the same key is used still"
    renewed = {"signed_curve25519:NEW": device.sign({"key": device.key.public, "fallback": True})}
    user.post("/keys/upload", {"fallback_keys": renewed})
    assert seen() == (0, ["signed_curve25519"])


def send(sender, user, *numbers):
    for n in numbers:
        sender.put(f"/sendToDevice/m.test/{quote(str(n))}{user.device_id}", {"messages": {user.user_id: {user.device_id: {"n": n}}}})


def test_messages_stay_until_they_are_acknowledged(user, other):
    since = here(user)
    send(other, user, 1, 2)
    answer = user.sync(since)
    assert messages(answer) == messages(user.sync(since)) == [1, 2]
    assert answer["to_device"]["events"][0] == {"type": "m.test", "sender": other.user_id, "content": {"n": 1}}
    send(other, user, 3)
    answer = user.sync(answer["next_batch"])
    assert messages(answer) == [3]
    assert messages(user.sync(answer["next_batch"])) == []
    assert messages(user.sync(since)) in ([], [3])
    assert messages(user.another_device().sync()) == []


def test_e2ee_amplification_a_full_mailbox_is_paged(user, other):
    """The victim's sync comes in pages, in order, none lost."""
    since = here(user)
    for n in range(6):
        body = {str(n * 50 + m): {} for m in range(50)}
        for m in body:
            other.put(f"/sendToDevice/m.test/{m}", {"messages": {user.user_id: {user.device_id: {"n": int(m), "x": "x" * 60000}}}})
    seen, pages = [], 0
    while len(seen) < 300:
        answer = user.sync(since, timeout=5000)
        assert len(answer.get("to_device", {}).get("events", [])) > 0
        since, seen, pages = answer["next_batch"], seen + messages(answer), pages + 1
    assert seen == list(range(300))
    assert pages > 1


def test_e2ee_amplification_a_mailbox_has_an_end(user, other, node):
    since = here(user)
    send(other, user, 1)
    where = f"user_id = '{user.user_id}' AND device_id = '{user.device_id}'"
    node.sql(f"UPDATE mailbox SET messages = 20000 WHERE {where}")
    send(other, user, 2)
    node.sql(f"UPDATE mailbox SET messages = 1, bytes = 100000000 WHERE {where}")
    send(other, user, 3)
    node.sql(f"UPDATE mailbox SET bytes = (SELECT sum (octet_length (message)) FROM to_device WHERE {where}) WHERE {where}")
    answer = user.sync(since)
    assert messages(answer) == [1]
    send(other, user, 4)
    answer = user.sync(answer["next_batch"])
    assert messages(answer) == [4]
    assert node.sql(f"SELECT messages FROM mailbox WHERE {where}").strip() == "1"
    send(other, user, 5)
    user.sync(answer["next_batch"])
    held = node.sql(f"SELECT count(*), sum (octet_length (message)) FROM to_device WHERE {where}")
    assert node.sql(f"SELECT messages, bytes FROM mailbox WHERE {where}") == held


@pytest.mark.peers
def test_changes_and_messages_across_servers(two_nodes):
    alice, bob = two_nodes[0].new_user("alice"), two_nodes[1].new_user("bob")
    room = alice.create_room(preset="public_chat")
    since = here(alice)
    bob.join(room, via=[alice.node.server_name])
    since = until_changed(alice, bob, since)
    Device(bob).upload()
    since = until_changed(alice, bob, since)
    send(bob, alice, 1)
    found, since = alice.sync_until(messages, since)
    assert found == [1]
    Impostor(bob.node).send_edus(alice.node, ("m.direct_to_device", {
        "sender": "@carol:third.example", "type": "m.test", "message_id": "forged",
        "messages": {alice.user_id: {"*": {"n": 7}}}}))
    send(bob, alice, 2)
    found, since = alice.sync_until(messages, since)
    assert found == [2]
    bob.leave(room)
    alice.sync_until(lambda answer: bob.user_id in left(answer), since)
