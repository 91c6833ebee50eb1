"""Tokens and the devices that they belong to."""

import threading
import time

import pytest

from accounts import login, proof, signed_in


def test_tokens_are_distinct_and_stored_hashed(node):
    user = node.new_user()
    tokens = {login(node, user.user_id)["access_token"] for _ in range(20)}
    assert len(tokens) == 20
    stored = node.sql("SELECT * FROM access_token") + node.sql("SELECT * FROM account")
    assert not any(token in stored for token in tokens | {user.token, user.password})


def test_missing_and_unknown_tokens(node):
    node.client().get("/account/whoami", expect=(401, "M_MISSING_TOKEN"))
    node.client().get("/account/whoami", token="made up", expect=(401, "M_UNKNOWN_TOKEN"))
    node.client().post("/logout", expect=(401, "M_MISSING_TOKEN"))
    node.client().get("/account/whoami?access_token=made%20up", expect=(401, "M_UNKNOWN_TOKEN"))


def test_refresh(node):
    user = node.new_user()
    first = login(node, user.user_id, refresh_token=True)
    assert first["expires_in_ms"] == 3600 * 1000
    client = signed_in(node, first)
    client.get("/account/whoami")
    second = client.post("/refresh", {"refresh_token": first["refresh_token"]}, token=None)
    assert second["access_token"] != first["access_token"] and second["refresh_token"] != first["refresh_token"]
    client.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    # The answer was lost: the old refresh token is good until the new pair is used.
    third = client.post("/refresh", {"refresh_token": first["refresh_token"]}, token=None)
    client.post("/refresh", {"refresh_token": second["refresh_token"]}, token=None, expect=(401, "M_UNKNOWN_TOKEN"))
    client.get("/account/whoami", token=second["access_token"], expect=(401, "M_UNKNOWN_TOKEN"))
    assert client.get("/account/whoami", token=third["access_token"])["device_id"] == first["device_id"]
    client.post("/refresh", {"refresh_token": first["refresh_token"]}, token=None, expect=(401, "M_UNKNOWN_TOKEN"))
    # Using the refresh token counts as using the pair.
    fourth = client.post("/refresh", {"refresh_token": third["refresh_token"]}, token=None)
    fifth = client.post("/refresh", {"refresh_token": fourth["refresh_token"]}, token=None)
    client.post("/refresh", {"refresh_token": third["refresh_token"]}, token=None, expect=(401, "M_UNKNOWN_TOKEN"))
    client.get("/account/whoami", token=fifth["access_token"])
    client.post("/refresh", {"refresh_token": "made up"}, token=None, expect=(401, "M_UNKNOWN_TOKEN"))
    client.post("/refresh", {}, token=None, expect=(400, "M_MISSING_PARAM"))


def test_expired_token_is_a_soft_logout(make_node):
    node = make_node("brief.localhost", {"accounts": {"password_cost": "minimum", "access_token_lifetime": 1}}).start()
    user = node.new_user()
    answer = login(node, user.user_id, refresh_token=True)
    client = signed_in(node, answer)
    client.get("/account/whoami")
    time.sleep(1.1)
    assert client.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))["soft_logout"] is True
    client.token = client.post("/refresh", {"refresh_token": answer["refresh_token"]}, token=None)["access_token"]
    client.get("/account/whoami")
    user.get("/account/whoami")


def age_refresh_tokens(node, user, seconds):
    node.sql(f"UPDATE refresh_token SET created_ts = created_ts - {seconds * 1000}::bigint WHERE user_id = '{user.user_id}'")


def test_unused_refresh_token_expires(make_node):
    node = make_node("brief.localhost", {"accounts": {"password_cost": "minimum", "refresh_token_lifetime": 1000}}).start()
    user = node.new_user()
    client = node.client()
    used = login(node, user.user_id, refresh_token=True)
    age_refresh_tokens(node, user, 990)
    # In time; and what comes of it is as good as new.
    used = client.post("/refresh", {"refresh_token": used["refresh_token"]})
    age_refresh_tokens(node, user, 990)
    used = client.post("/refresh", {"refresh_token": used["refresh_token"]})
    unused = login(node, user.user_id, refresh_token=True)
    age_refresh_tokens(node, user, 1001)
    for token in (used, unused):
        refused = client.post("/refresh", {"refresh_token": token["refresh_token"]}, expect=(401, "M_UNKNOWN_TOKEN"))
        assert refused["soft_logout"] is True
        client.get("/account/whoami", token=token["access_token"])  # it lives as long as it was said to
    assert unused["device_id"] in [device["device_id"] for device in user.get("/devices")["devices"]]
    again = login(node, user.user_id, refresh_token=True, device_id=unused["device_id"])
    client.post("/refresh", {"refresh_token": again["refresh_token"]})


def test_refresh_tokens_are_for_ever_when_told_so(make_node):
    node = make_node("brief.localhost", {"accounts": {"password_cost": "minimum", "refresh_token_lifetime": 0}}).start()
    user = node.new_user()
    answer = login(node, user.user_id, refresh_token=True)
    age_refresh_tokens(node, user, 1000000000)
    node.restart()
    time.sleep(1)
    node.client().post("/refresh", {"refresh_token": answer["refresh_token"]})


def test_class_token_revocation(node):
    """Whatever ends a token ends it at once."""
    user = node.new_user()

    def fresh(**more):
        client = signed_in(node, login(node, user.user_id, **more))
        client.password = user.password
        client.get("/account/whoami")
        return client

    gone = (401, "M_UNKNOWN_TOKEN")
    client = fresh()
    client.post("/logout")
    client.get("/account/whoami", expect=gone)

    client = fresh()
    user.delete(f"/devices/{client.device_id}", {"auth": proof(user)})
    client.get("/account/whoami", expect=gone)

    answer = login(node, user.user_id, refresh_token=True)
    client = signed_in(node, answer)
    user.post("/delete_devices", {"devices": [client.device_id], "auth": proof(user)})
    client.get("/account/whoami", expect=gone)
    client.post("/refresh", {"refresh_token": answer["refresh_token"]}, token=None, expect=gone)

    client = fresh()
    user.post("/account/password", {"new_password": "new one", "auth": proof(user)})
    user.password = "new one"
    client.get("/account/whoami", expect=gone)
    user.get("/account/whoami")

    clients = [signed_in(node, login(node, user.user_id, "new one")) for _ in range(3)]
    clients[0].post("/logout/all")
    for client in [*clients, user]:
        client.get("/account/whoami", expect=gone)
    login(node, user.user_id, "new one")


def held_sync(client):
    """Starts a long poll; returns what gives its response, once it has one."""
    since = client.sync()["next_batch"]
    responses = []

    def poll():
        responses.append(client.request("GET", "/sync", params={"since": since, "timeout": 30000}))

    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(0.3)
    assert not responses, responses[0].text

    def finish():
        thread.join(5)
        assert responses, "the poll is still held"
        return responses[0]

    return finish


@pytest.mark.parametrize("way", ["logout", "logout_all", "delete_device", "password", "deactivate", "sign_in_again", "refresh"])
def test_class_token_revocation_ends_open_polls(node, way):
    user = node.new_user()
    answer = login(node, user.user_id, refresh_token=True)
    client, owner = signed_in(node, answer), user.another_device()
    other, held = held_sync(user), held_sync(client)
    {"logout": lambda: client.post("/logout"),
     "logout_all": lambda: node.client().post("/logout/all", token=client.token),
     "delete_device": lambda: owner.delete(f"/devices/{client.device_id}", {"auth": proof(user)}),
     "password": lambda: owner.post("/account/password", {"new_password": "new", "auth": proof(user)}),
     "deactivate": lambda: owner.post("/account/deactivate", {"auth": proof(user)}),
     "sign_in_again": lambda: login(node, user.user_id, device_id=client.device_id),
     "refresh": lambda: node.client().post("/refresh", {"refresh_token": answer["refresh_token"]})}[way]()
    response = held()
    assert response.status_code == 401 and response.json()["errcode"] == "M_UNKNOWN_TOKEN"
    if way in ("logout_all", "deactivate", "password"):
        assert other().status_code == 401
    else:
        user.put(f"/user/{user.user_id}/account_data/a.b", {})
        assert other().status_code == 200


def test_tokens_survive_a_restart(make_node):
    node = make_node("again.localhost").start()
    user = node.new_user()
    gone = user.another_device()
    gone.post("/logout")
    node.restart()
    user.get("/account/whoami")
    gone.get("/account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


# Devices


def test_devices(node):
    user = node.new_user()
    login(node, user.user_id, device_id="PHONE", initial_device_display_name="My phone")
    devices = {device["device_id"]: device for device in user.get("/devices")["devices"]}
    assert devices.keys() == {user.device_id, "PHONE"}
    assert devices["PHONE"]["display_name"] == "My phone" and devices["PHONE"]["user_id"] == user.user_id
    user.put("/devices/PHONE", {"display_name": "Your phone"})
    assert user.get("/devices/PHONE")["display_name"] == "Your phone"
    user.put("/devices/PHONE", {})
    assert user.get("/devices/PHONE")["display_name"] == "Your phone"
    user.get("/devices/UNKNOWN", expect=(404, "M_NOT_FOUND"))
    user.put("/devices/UNKNOWN", {"display_name": "x"}, expect=(404, "M_NOT_FOUND"))
    user.put("/devices/PHONE", {"display_name": 5}, expect=(400, "M_BAD_JSON"))
    user.delete("/devices/PHONE", {"auth": proof(user)})
    user.get("/devices/PHONE", expect=(404, "M_NOT_FOUND"))
    assert user.request("DELETE", "/devices/PHONE").status_code == 401
    user.post("/delete_devices", {"devices": "PHONE"}, expect=(400, "M_BAD_JSON"))
    user.post("/delete_devices", {"devices": [5]}, expect=(400, "M_BAD_JSON"))


def test_devices_tell_when_they_were_seen(make_node):
    node = make_node("seen.localhost").start()
    user = node.new_user()
    user.get("/account/whoami", headers={"User-Agent": "a client"})
    node.restart()
    device = user.get(f"/devices/{user.device_id}")
    assert device["last_seen_ip"] == "127.0.0.1" and abs(device["last_seen_ts"] / 1000 - time.time()) < 60


# OpenID


def test_CVE_2023_38691_openid_subject(node):
    user, other = node.new_user(), node.new_user()
    answer = user.post(f"/user/{user.user_id}/openid/request_token")
    assert answer["matrix_server_name"] == "localhost" and answer["token_type"] == "Bearer" and answer["expires_in"] > 0
    user.post(f"/user/{other.user_id}/openid/request_token", expect=(403, "M_FORBIDDEN"))
    user.get("/account/whoami", token=answer["access_token"], expect=(401, "M_UNKNOWN_TOKEN"))
    assert answer["access_token"] not in node.sql("SELECT * FROM openid_token")
