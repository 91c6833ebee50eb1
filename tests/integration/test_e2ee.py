"""Encryption as a server sees it: keys of devices, cross-signing, messages to devices."""

import concurrent.futures
import json

import pytest

from e2ee import CrossSigning, Device, Key, claim, query


def parallel(calls, width=25):
    with concurrent.futures.ThreadPoolExecutor(width) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


# --- Keys of devices


def test_keys_are_stored_and_shown(user, other):
    device = Device(user)
    assert device.upload(3)["one_time_key_counts"] == {"signed_curve25519": 3}
    shown = query(other, user)
    keys = shown["device_keys"][user.user_id][user.device_id]
    assert keys.pop("unsigned") == {}
    assert keys == device.identity()
    assert shown["failures"] == {}
    assert user.post("/keys/upload", {})["one_time_key_counts"] == {"signed_curve25519": 3}


def test_query_for_some_devices_only(user, other):
    first, second = Device(user), Device(user.another_device())
    first.upload()
    second.upload()
    body = {"device_keys": {user.user_id: [second.device_id]}}
    assert list(other.post("/keys/query", body)["device_keys"][user.user_id]) == [second.device_id]
    assert set(query(other, user)["device_keys"][user.user_id]) == {first.device_id, second.device_id}


def test_query_for_somebody_without_keys(user, other):
    assert query(other, user)["device_keys"] == {user.user_id: {}}


def test_a_device_shows_its_name(user, other):
    Device(user).upload()
    user.put(f"/devices/{user.device_id}", {"display_name": "phone"})
    keys = query(other, user)["device_keys"][user.user_id][user.device_id]
    assert keys["unsigned"] == {"device_display_name": "phone"}


def test_a_deleted_device_has_no_keys(user, other):
    device = Device(user.another_device())
    device.upload(1)
    device.client.post("/logout")
    assert query(other, user)["device_keys"][user.user_id] == {}
    assert claim(other, device) is None


def test_one_time_key_ids_are_not_reused_for_other_keys(user):
    device = Device(user)
    device.upload()
    keys = device.one_time_keys(1)
    user.post("/keys/upload", {"one_time_keys": keys})
    user.post("/keys/upload", {"one_time_keys": keys})
    name = next(iter(keys))
    other = device.sign({"key": Key().public})
    user.post("/keys/upload", {"one_time_keys": {name: other}}, expect=(400, "M_INVALID_PARAM"))


def test_fallback_key_is_given_out_when_there_is_no_other(user, other):
    device = Device(user)
    fallback = {"signed_curve25519:FALL": device.sign({"key": Key().public, "fallback": True})}
    device.upload(1, fallback_keys=fallback)
    assert claim(other, device)[0] == "signed_curve25519:AAAA1"
    assert claim(other, device) == next(iter(fallback.items()))
    assert claim(other, device) == next(iter(fallback.items()))


def test_keys_leave_in_the_order_they_came(user, other):
    device = Device(user)
    for _ in range(3):
        device.upload(1)
    assert [claim(other, device)[0] for _ in range(3)] == [f"signed_curve25519:AAAA{n}" for n in (1, 2, 3)]


def test_one_time_key_reuse_by_racing_claims(user, other):
    """100 claims at once for 50 keys: each key leaves at most once."""
    device = Device(user)
    device.upload(50)
    got = parallel([lambda: claim(other, device)] * 100)
    names = [key[0] for key in got if key]
    assert len(names) == 50
    assert len(set(names)) == 50
    assert device.upload()["one_time_key_counts"] == {"signed_curve25519": 0}


BAD_IDENTITIES = {
    "another user": lambda d: d.identity(user_id="@somebody:localhost"),
    "another device": lambda d: d.identity(device_id="OTHER"),
    "keys are a list": lambda d: d.identity(keys=[]),
    "keys are null": lambda d: d.identity(keys=None),
    "a key is a number": lambda d: d.identity(keys={f"ed25519:{d.device_id}": 7}),
    "algorithms are missing": lambda d: {k: v for k, v in d.identity().items() if k != "algorithms"},
    "algorithms are an object": lambda d: d.identity(algorithms={}),
    "an algorithm is null": lambda d: d.identity(algorithms=[None]),
    "signatures are missing": lambda d: {k: v for k, v in d.identity().items() if k != "signatures"},
    "signatures are a text": lambda d: {**d.identity(), "signatures": "x"},
    "signatures are lists": lambda d: {**d.identity(), "signatures": {d.user_id: ["x"]}},
    "a signature is null": lambda d: {**d.identity(), "signatures": {d.user_id: {f"ed25519:{d.device_id}": None}}},
    "a wrong signature": lambda d: {**d.identity(), "algorithms": ["m.olm.v1.curve25519-aes-sha2"]},
    "no base64": lambda d: {**d.identity(), "signatures": {d.user_id: {f"ed25519:{d.device_id}": "!"}}},
    "huge": lambda d: d.identity(padding="x" * 20000),
    "a fraction": lambda d: {**d.identity(), "float": 1.5},
    "a list": lambda d: [],
    "a text": lambda d: "keys",
}


@pytest.mark.parametrize("name", BAD_IDENTITIES)
def test_CVE_2025_61672_device_key_validation(user, other, name):
    device = Device(user)
    body = {"device_keys": BAD_IDENTITIES[name](device)}
    answer = user.post("/keys/upload", body, expect=400)
    assert answer["errcode"] in ("M_BAD_JSON", "M_INVALID_PARAM", "M_INVALID_SIGNATURE")
    assert query(other, user)["device_keys"][user.user_id] == {}


BAD_ONE_TIME_KEYS = {
    "no id": lambda d: {"signed_curve25519": {"key": "x"}},
    "no algorithm": lambda d: {":AAAA": {"key": "x"}},
    "an empty id": lambda d: {"signed_curve25519:": {"key": "x"}},
    "null": lambda d: {"signed_curve25519:AAAA": None},
    "a number": lambda d: {"signed_curve25519:AAAA": 5},
    "no key in it": lambda d: {"signed_curve25519:AAAA": {}},
    "key is an object": lambda d: {"signed_curve25519:AAAA": {"key": {}}},
    "signatures are a list": lambda d: {"signed_curve25519:AAAA": {"key": "x", "signatures": []}},
    "signed by another key": lambda d: {"signed_curve25519:AAAA": Key().sign({"key": "x"}, d.user_id, d.device_id)},
    "huge": lambda d: {"signed_curve25519:AAAA": {"key": "x" * 10000}},
    "a long name": lambda d: {"signed_curve25519:" + "A" * 300: {"key": "x"}},
    "too many": lambda d: {f"signed_curve25519:{n}": {"key": "x"} for n in range(1001)},
    "NUL in the name": lambda d: {"signed_curve25519:A\0": {"key": "x"}},
    "a list": lambda d: [],
}


@pytest.mark.parametrize("kind", ["one_time_keys", "fallback_keys"])
@pytest.mark.parametrize("name", BAD_ONE_TIME_KEYS)
def test_CVE_2025_61672_one_time_key_validation(user, other, name, kind):
    device = Device(user)
    device.upload()
    user.post("/keys/upload", {kind: BAD_ONE_TIME_KEYS[name](device)}, expect=400)
    assert claim(other, device) is None


@pytest.mark.parametrize("body", [
    {}, {"device_keys": []}, {"device_keys": {"@x:localhost": None}}, {"device_keys": {"@x:localhost": [1]}},
    {"device_keys": {"nobody": []}}, {"device_keys": {"@x\0:localhost": []}},
    {"device_keys": {}, "timeout": "soon"}, {"device_keys": {}, "timeout": -1}])
def test_queries_of_a_wrong_shape(user, body):
    user.post("/keys/query", body, expect=(400, "M_BAD_JSON"))


@pytest.mark.parametrize("body", [
    {}, {"one_time_keys": []}, {"one_time_keys": {"@x:localhost": []}}, {"one_time_keys": {"nobody": {}}},
    {"one_time_keys": {"@x:localhost": {"D": None}}}, {"one_time_keys": {"@x:localhost": {"D\0": "a"}}}])
def test_claims_of_a_wrong_shape(user, body):
    user.post("/keys/claim", body, expect=(400, "M_BAD_JSON"))


def test_servers_that_do_not_answer_are_named(user):
    stranger = "@somebody:nowhere.invalid"
    answer = user.post("/keys/query", {"device_keys": {stranger: []}, "timeout": 2000})
    assert list(answer["failures"]) == ["nowhere.invalid"]
    answer = user.post("/keys/claim", {"one_time_keys": {stranger: {"D": "signed_curve25519"}}, "timeout": 2000})
    assert list(answer["failures"]) == ["nowhere.invalid"]


# --- Cross-signing


def test_cross_signing_keys_are_stored_and_shown(user, other):
    signing = CrossSigning(user)
    signing.upload()
    body = signing.body()
    mine, theirs = query(user, user), query(other, user)
    for answer in (mine, theirs):
        assert answer["master_keys"] == {user.user_id: body["master_key"]}
        assert answer["self_signing_keys"] == {user.user_id: body["self_signing_key"]}
    assert mine["user_signing_keys"] == {user.user_id: body["user_signing_key"]}
    assert theirs["user_signing_keys"] == {}


def test_uia_bypass_replacing_cross_signing_keys(user):
    """The first upload needs no proof, nor does the same again; any other does."""
    signing = CrossSigning(user)
    signing.upload()
    signing.upload()
    user.post("/keys/device_signing/upload", {"master_key": signing.master_key})
    other = CrossSigning(user)
    challenge = user.post("/keys/device_signing/upload", other.body(), expect=401)
    assert {"stages": ["m.login.password"]} in challenge["flows"]
    other.user_signing, kept = signing.user_signing, other.user_signing
    signing.user_signing = kept
    partial = {"user_signing_key": signing.body()["user_signing_key"]}
    user.post("/keys/device_signing/upload", partial, expect=401)
    wrong = {**other.password(), "password": "wrong", "session": challenge["session"]}
    user.post("/keys/device_signing/upload", other.body(auth=wrong), expect=401)
    assert query(user, user)["master_keys"][user.user_id] == signing.master_key
    other.upload(auth={**other.password()})
    assert query(user, user)["master_keys"][user.user_id] == other.master_key


def test_uia_bypass_of_first_uploads_that_race(user):
    """Several devices set up cross-signing at once: one wins, the others must prove who they are."""
    sets = [CrossSigning(user) for _ in range(8)]
    answers = parallel([lambda s=s: user.request("POST", "/keys/device_signing/upload", json=s.body()) for s in sets], 8)
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
    winner = sets[[answer.status_code for answer in answers].index(200)].body()
    shown = query(user, user)
    assert shown["master_keys"][user.user_id] == winner["master_key"]
    assert shown["self_signing_keys"][user.user_id] == winner["self_signing_key"]


def test_another_master_key_takes_the_old_ones_keys_away(user):
    old, new = CrossSigning(user), CrossSigning(user)
    old.upload()
    user.post("/keys/device_signing/upload", {"master_key": new.master_key, "auth": new.password()})
    shown = query(user, user)
    assert shown["master_keys"][user.user_id] == new.master_key
    assert shown["self_signing_keys"] == {} and shown["user_signing_keys"] == {}


BAD_CROSS_SIGNING = {
    "no master key": lambda s: {"self_signing_key": s.body()["self_signing_key"]},
    "nothing": lambda s: {},
    "another user": lambda s: {"master_key": {**s.master_key, "user_id": "@somebody:localhost"}},
    "another usage": lambda s: {"master_key": {**s.master_key, "usage": ["self_signing"]}},
    "usage is a text": lambda s: {"master_key": {**s.master_key, "usage": "master"}},
    "two keys": lambda s: {"master_key": {**s.master_key, "keys": {**s.master_key["keys"], "ed25519:x": "x"}}},
    "a name that is not the key": lambda s: {"master_key": {**s.master_key, "keys": {"ed25519:A": s.master.public}}},
    "no key": lambda s: {"master_key": {**s.master_key, "keys": {"ed25519:short": "short"}}},
    "keys are a list": lambda s: {"master_key": {**s.master_key, "keys": []}},
    "null": lambda s: {"master_key": None},
    "not signed": lambda s: s.body(self_signing_key={k: v for k, v in s.body()["self_signing_key"].items()
                                                     if k != "signatures"}),
    "signed by another": lambda s: s.body(user_signing_key=CrossSigning(s.client).body()["user_signing_key"]),
    "changed after it was signed": lambda s: s.body(user_signing_key={**s.body()["user_signing_key"], "more": 1}),
}


@pytest.mark.parametrize("name", BAD_CROSS_SIGNING)
def test_CVE_2025_61672_cross_signing_key_validation(user, name):
    user.post("/keys/device_signing/upload", BAD_CROSS_SIGNING[name](CrossSigning(user)), expect=400)
    assert query(user, user)["master_keys"] == {}


def test_a_master_key_cannot_be_called_as_a_device(user):
    signing = CrossSigning(user)
    user.node.client().login(user.user_id, user.password, device_id=signing.master.public)
    user.post("/keys/device_signing/upload", signing.body(), expect=(403, "M_FORBIDDEN"))


def test_devices_are_signed(user, other):
    device, signing = Device(user), CrossSigning(user)
    device.upload()
    signing.upload()
    signed = signing.self_signing.sign(device.identity(), user.user_id)
    assert user.post("/keys/signatures/upload", {user.user_id: {user.device_id: signed}})["failures"] == {}
    shown = query(other, user)["device_keys"][user.user_id][user.device_id]
    assert shown["signatures"] == signed["signatures"]


def test_the_master_key_is_signed_by_a_device(user, other):
    device, signing = Device(user), CrossSigning(user)
    device.upload()
    signing.upload()
    signed = device.sign(signing.master_key)
    user.post("/keys/signatures/upload", {user.user_id: {signing.master.public: signed}})
    assert query(other, user)["master_keys"][user.user_id] == signed


def test_only_the_signer_sees_whom_he_has_verified(user, other, node):
    mine, theirs = CrossSigning(user), CrossSigning(other)
    mine.upload()
    theirs.upload()
    signed = mine.user_signing.sign(theirs.master_key, user.user_id)
    user.post("/keys/signatures/upload", {other.user_id: {theirs.master.public: signed}})
    assert query(user, other)["master_keys"][other.user_id] == signed
    for viewer in (other, node.new_user()):
        assert query(viewer, other)["master_keys"][other.user_id] == theirs.master_key


def test_a_device_with_other_keys_loses_its_signatures(user, other):
    device, signing = Device(user), CrossSigning(user)
    device.upload()
    signing.upload()
    signed = signing.self_signing.sign(device.identity(), user.user_id)
    user.post("/keys/signatures/upload", {user.user_id: {user.device_id: signed}})
    new = Device(user)
    new.upload()
    keys = query(other, user)["device_keys"][user.user_id][user.device_id]
    assert keys["signatures"] == new.identity()["signatures"]


def test_CVE_2025_61672_signatures_that_are_wrong_are_listed(user, other):
    device, signing, theirs = Device(user), CrossSigning(user), CrossSigning(other)
    device.upload()
    signing.upload()
    theirs.upload()
    sign = signing.self_signing.sign
    bad = {
        user.user_id: {
            user.device_id: {**sign(device.identity(), user.user_id), "algorithms": []},
            "UNKNOWN": sign(device.identity(), user.user_id),
            signing.master.public: Key().sign(signing.master_key, user.user_id, user.device_id),
        },
        other.user_id: {theirs.master.public: sign(theirs.master_key, user.user_id),
                        "null": None},
        "@nobody:localhost": {"x": {}},
    }
    failures = user.post("/keys/signatures/upload", bad)["failures"]
    assert {who: sorted(keys) for who, keys in failures.items()} == {who: sorted(keys) for who, keys in bad.items()}
    assert failures[other.user_id][theirs.master.public]["errcode"] == "M_INVALID_SIGNATURE"
    assert query(user, user)["device_keys"][user.user_id][user.device_id]["signatures"] == \
        device.identity()["signatures"]
    assert query(user, other)["master_keys"][other.user_id] == theirs.master_key
    wrong_key = Key().sign(device.identity(), user.user_id, signing.self_signing.public)
    failures = user.post("/keys/signatures/upload", {user.user_id: {user.device_id: wrong_key}})["failures"]
    assert failures[user.user_id][user.device_id]["errcode"] == "M_INVALID_SIGNATURE"


@pytest.mark.parametrize("body", [{"nobody": {}}, {"@x:localhost": []}, {"@x:localhost": None}])
def test_signatures_of_a_wrong_shape(user, body):
    user.post("/keys/signatures/upload", body, expect=(400, "M_BAD_JSON"))


# --- Messages to devices


def mailbox(client, node):
    rows = node.sql("SELECT convert_from (message, 'UTF8') FROM to_device WHERE "
                    f"user_id = '{client.user_id}' AND device_id = '{client.device_id}' ORDER BY position")
    return rows.splitlines()


def test_a_message_is_taken_in_once(user, other, node):
    body = {"messages": {user.user_id: {user.device_id: {"n": 1}}}}
    for _ in range(2):
        other.put("/sendToDevice/m.test/same", body)
    parallel([lambda: other.put("/sendToDevice/m.test/racing", body)] * 10)
    assert len(mailbox(user, node)) == 2


def test_a_star_stands_for_all_devices(user, other, node):
    second = user.another_device()
    other.put("/sendToDevice/m.test/1", {"messages": {user.user_id: {"*": {"n": 1}}}})
    assert len(mailbox(user, node)) == len(mailbox(second, node)) == 1
    other.put("/sendToDevice/m.test/2", {"messages": {user.user_id: {second.device_id: {}, "NONE": {}}}})
    assert len(mailbox(user, node)) == 1 and len(mailbox(second, node)) == 2


@pytest.mark.parametrize("body", [
    {}, {"messages": []}, {"messages": {"nobody": {}}}, {"messages": {"@x:localhost": []}},
    {"messages": {"@x:localhost": {"D": 1}}}, {"messages": {"@x:localhost": {"D\0": {}}}}])
def test_messages_of_a_wrong_shape(user, body):
    user.put("/sendToDevice/m.test/1", body, expect=(400, "M_BAD_JSON"))


def test_e2ee_amplification_by_recipients_and_size(user, other, node):
    many = {"messages": {f"@u{n}:localhost": {f"D{m}": {} for m in range(100)} for n in range(101)}}
    other.put("/sendToDevice/m.test/many", many, expect=(413, "M_TOO_LARGE"))
    large = {"messages": {user.user_id: {user.device_id: {"x": "x" * 70000}}}}
    other.put("/sendToDevice/m.test/large", large, expect=(413, "M_TOO_LARGE"))
    assert mailbox(user, node) == []


def test_e2ee_amplification_by_messages_for_other_servers(make_node):
    """They are measured as those for devices here, and go out in EDUs that are not much larger than one of them may be."""
    node = make_node("acme.localhost", {"federation": {"resolve": "gone.example=127.0.0.1:1"}}).start()
    user = node.new_user()

    def send(messages, txn, **more):
        user.put(f"/sendToDevice/m.test/{txn}", {"messages": messages}, **more)

    def waiting():
        return [json.loads(line) for line in node.sql(
            "SELECT convert_from (edu, 'UTF8') FROM destination_edu WHERE server = 'gone.example' ORDER BY id").splitlines()]

    send({"@a:gone.example": {"D": {"x": "x" * 70000}}}, "large", expect=(413, "M_TOO_LARGE"))
    send({"@a:gone.example": {"D": "x"}}, "text", expect=(400, "M_BAD_JSON"))
    send({f"@a:s{n}.example": {"D": {}} for n in range(1001)}, "servers", expect=(413, "M_TOO_LARGE"))
    send({"@a:gone.example": {}}, "nobody")
    assert waiting() == []
    messages = {f"@u{n}:gone.example": {f"D{m}": {"n": m, "x": "x" * 7000} for m in range(10)} for n in range(20)}
    messages["@large:gone.example"] = {"D": {"x": "x" * 65400}}
    send(messages, "many")
    found, edus = {}, waiting()
    for edu in edus:
        assert edu["edu_type"] == "m.direct_to_device"
        assert (edu["content"]["sender"], edu["content"]["type"]) == (user.user_id, "m.test")
        for name, by_device in edu["content"]["messages"].items():
            assert by_device
            found.setdefault(name, {}).update(by_device)
    assert found == messages
    assert max(len(json.dumps(edu, separators=(",", ":"))) for edu in edus) < 66000
    assert len({edu["content"]["message_id"] for edu in edus}) == len(edus)
    assert len(edus) < 30
