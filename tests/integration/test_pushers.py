"""Pushers, push gateways, and the list of notifications."""

import http.server
import json
import queue
import ssl
import threading
import time

import pytest

from client import quote
from node import resolve_each_other

PATH = "/_matrix/push/v1/notify"


class Gateway:
    """A push gateway: requests are in `got`, `answer` is what it says, `status` how, `hold` (an event) when, in nine seconds at most."""

    def __init__(self, authority, name="localhost"):
        self.got, self.status, self.answer, self.hold = queue.Queue(), 200, {}, None
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                gateway.got.put((self.path, json.loads(body)))
                if gateway.hold:
                    gateway.hold.wait(9)
                text = json.dumps(gateway.answer).encode()
                self.send_response(gateway.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, authority.issue(name)))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"https://localhost:{self.server.server_address[1]}{PATH}"

    def next(self, seconds=10):
        path, body = self.got.get(timeout=seconds)
        assert path == PATH
        return body["notification"]

    def none(self, seconds=0.7):
        time.sleep(seconds)
        assert self.got.empty(), self.got.get()


def pusher(gateway_url, **more):
    return {"kind": "http", "app_id": "org.example", "pushkey": "key", "app_display_name": "App", "lang": "en",
            "device_display_name": "Phone", "data": {"url": gateway_url}, **more}


@pytest.fixture(scope="module")
def pushing_node(authority):
    from node import Node
    node = Node("push.localhost", {"outbound": {"ca_file": authority.ca}}).start()
    yield node
    assert node.stop() == 0
    assert not node.complaints()
    node.remove()


@pytest.fixture
def gateway(authority):
    made = Gateway(authority)
    yield made
    made.server.shutdown()


def test_pushers_are_kept(user, other):
    url = "https://push.example.org" + PATH
    assert user.get("/pushers") == {"pushers": []}
    user.post("/pushers/set", pusher(url, profile_tag="tag"))
    assert user.get("/pushers") == {"pushers": [pusher(url, profile_tag="tag")]}
    user.post("/pushers/set", pusher(url, lang="de"))
    assert [one["lang"] for one in user.get("/pushers")["pushers"]] == ["de"]
    # The same key of somebody else, with append and without.
    other.post("/pushers/set", pusher(url, append=True))
    assert len(user.get("/pushers")["pushers"]) == 1
    other.post("/pushers/set", pusher(url))
    assert user.get("/pushers") == {"pushers": []}
    other.post("/pushers/set", pusher(url, kind=None))
    assert other.get("/pushers") == {"pushers": []}


def test_class_row_flood_by_pushers(user, other):
    """A hundred at most; one that is there can still be changed, and one that goes makes room."""
    url = "https://push.example.org" + PATH
    other.post("/pushers/set", pusher(url, pushkey="of the other"))
    for number in range(100):
        user.post("/pushers/set", pusher(url, pushkey=f"key {number}"))
    too_many = (413, "M_TOO_LARGE")
    user.post("/pushers/set", pusher(url, pushkey="key 100"), expect=too_many)
    user.post("/pushers/set", pusher(url, pushkey="of the other"), expect=too_many)
    assert len(other.get("/pushers")["pushers"]) == 1
    user.post("/pushers/set", pusher(url, pushkey="key 7", lang="de"))
    user.post("/pushers/set", pusher(url, pushkey="key 8", kind=None))
    user.post("/pushers/set", pusher(url, pushkey="key 100"))
    assert len(user.get("/pushers")["pushers"]) == 100


def test_pushers_go_with_their_device(user):
    device = user.another_device()
    device.post("/pushers/set", pusher("https://push.example.org" + PATH))
    assert len(user.get("/pushers")["pushers"]) == 1
    device.post("/logout")
    assert user.get("/pushers") == {"pushers": []}


def test_malformed_pushers(user):
    url = "https://push.example.org" + PATH
    for key in ("app_id", "pushkey", "kind", "app_display_name", "device_display_name", "lang", "data"):
        body = pusher(url)
        del body[key]
        user.post("/pushers/set", body, expect=(400, "M_MISSING_PARAM"))
    user.post("/pushers/set", pusher(url, app_id="a" * 65), expect=(400, "M_INVALID_PARAM"))
    user.post("/pushers/set", pusher(url, pushkey="a" * 513), expect=(400, "M_INVALID_PARAM"))
    user.post("/pushers/set", pusher(url, kind="pigeon"), expect=(400, "M_INVALID_PARAM"))
    user.post("/pushers/set", pusher(url, kind=5), expect=(400, "M_BAD_JSON"))


@pytest.mark.parametrize("url", [
    "http://push.example.org" + PATH, "https://push.example.org/other", "https://push.example.org" + PATH + "?a=b",
    "https://user@push.example.org" + PATH, "file:///etc/passwd", "https://" + PATH, "nonsense", "", 5])
def test_CVE_2021_21273_pusher_urls(user, url):
    user.post("/pushers/set", pusher(url), expect=(400, "M_INVALID_PARAM"))


def test_CVE_2021_21273_private_addresses_are_not_called(make_node, authority, gateway):
    node = make_node("guarded.localhost", {"outbound": {"allow": None, "ca_file": authority.ca}}).start()
    user, other = node.new_user(), node.new_user("other")
    room = user.create_room(preset="public_chat")
    other.join(room)
    user.post("/pushers/set", pusher(gateway.url))
    other.send(room, "hello")
    gateway.none(2)
    # He learns nothing from it either.
    assert user.get("/pushers")["pushers"] == [pusher(gateway.url)]


def test_message_is_pushed_and_reading_resets_the_number(pushing_node, gateway):
    user, other = pushing_node.new_user(), pushing_node.new_user("other")
    room = user.create_room(preset="public_chat", name="The room")
    other.join(room)
    other.set_state(room, "m.room.member", {"membership": "join", "displayname": "Bob"}, other.user_id)
    user.post("/pushers/set", pusher(gateway.url, data={"url": gateway.url, "custom": 1}))
    event = other.send(room, "hello")
    got = gateway.next()
    assert got == {
        "event_id": event, "room_id": room, "type": "m.room.message", "sender": other.user_id,
        "sender_display_name": "Bob", "room_name": "The room", "prio": "high", "counts": {"unread": 1},
        "content": {"msgtype": "m.text", "body": "hello"},
        "devices": [{"app_id": "org.example", "pushkey": "key", "data": {"custom": 1}, "tweaks": {"sound": "default"}}]}
    user.send(room, "my own")
    user.post(f"/rooms/{quote(room)}/receipt/m.read/{quote(event)}")
    got = gateway.next()
    assert got == {"counts": {"unread": 0}, "devices": [{"app_id": "org.example", "pushkey": "key",
                                                         "data": {"custom": 1}}]}
    user.put(f"/pushrules/global/room/{quote(room)}", {"actions": []})
    other.send(room, "muted")
    gateway.none()


def test_invites_are_pushed_and_ids_only(pushing_node, gateway):
    user, other = pushing_node.new_user(), pushing_node.new_user("other")
    user.post("/pushers/set", pusher(gateway.url))
    room = other.create_room(name="Come")
    other.invite(room, user)
    got = gateway.next()
    assert got["type"] == "m.room.member" and got["user_is_target"] and got["room_name"] == "Come"
    user.join(room)
    user.post("/pushers/set", pusher(gateway.url, data={"url": gateway.url, "format": "event_id_only"}))
    event = other.send(room, "secret")
    got = gateway.next()
    assert set(got) == {"event_id", "room_id", "counts", "devices"} and got["event_id"] == event


@pytest.mark.peers
def test_invites_from_other_servers_are_pushed(authority, make_node, gateway):
    """Into a room that the node is not in: all that it knows of it came with the invite."""
    settings = {"outbound": {"ca_file": authority.ca}}
    acme, globex = nodes = [make_node(name, settings, tls=authority.issue(name), ca=authority.ca)
                            for name in ("acme.localhost", "globex.localhost")]
    resolve_each_other(nodes)
    user, other = acme.start().new_user(), globex.start().new_user("other")
    user.post("/pushers/set", pusher(gateway.url))
    other.put(f"/profile/{other.user_id}/displayname", {"displayname": "Otto"})
    room = other.create_room(name="Come")
    other.invite(room, user)
    got = gateway.next()
    assert got.pop("event_id")
    assert got.pop("devices")[0]["tweaks"] == {"sound": "default"}
    assert got == {"room_id": room, "room_name": "Come", "type": "m.room.member", "user_is_target": True, "prio": "high",
                   "sender": other.user_id, "sender_display_name": "Otto", "counts": {"unread": 0},
                   "content": {"membership": "invite"}}
    user.post(f"/rooms/{quote(room)}/leave")
    # Nobody is bothered by whom they ignore.
    user.put(f"/user/{user.user_id}/account_data/m.ignored_user_list", {"ignored_users": {other.user_id: {}}})
    other.invite(other.create_room(name="Come once more"), user)
    gateway.none()


def test_class_push_starvation(pushing_node, gateway, authority):
    """A gateway that is slow, and no more than that, keeps nobody else's notifications waiting."""
    mallory, alice, other = pushing_node.new_user("mallory"), pushing_node.new_user("alice"), pushing_node.new_user("other")
    slow = Gateway(authority)
    slow.hold = threading.Event()
    busy, quiet = mallory.create_room(preset="public_chat"), alice.create_room(preset="public_chat")
    other.join(busy)
    other.join(quiet)
    mallory.post("/pushers/set", pusher(slow.url, pushkey="slow"))
    alice.post("/pushers/set", pusher(gateway.url))
    try:
        for number in range(20):
            other.send(busy, f"message {number}")
        slow.next()
        time.sleep(0.5)
        event = other.send(quiet, "hello")
        assert gateway.next(5)["event_id"] == event
    finally:
        slow.hold.set()
    # None is lost either: the first was taken above.
    for _ in range(19):
        slow.next()
    slow.server.shutdown()


def test_failures_are_tried_again_and_rejected_pushers_go(pushing_node, gateway):
    user, other = pushing_node.new_user(), pushing_node.new_user("other")
    room = user.create_room(preset="public_chat")
    other.join(room)
    user.post("/pushers/set", pusher(gateway.url))
    gateway.status = 502
    event = other.send(room, "hello")
    assert gateway.next()["event_id"] == event
    gateway.status = 200
    assert gateway.next()["event_id"] == event
    gateway.answer = {"rejected": ["key"]}
    other.send(room, "once more")
    gateway.next()
    deadline = time.monotonic() + 5
    while user.get("/pushers")["pushers"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert user.get("/pushers") == {"pushers": []}


def test_CVE_2024_6300_pushed_events_are_the_members_only(pushing_node, gateway):
    """Who has left is not told."""
    user, other = pushing_node.new_user(), pushing_node.new_user("other")
    room = other.create_room(preset="public_chat")
    user.join(room)
    user.post("/pushers/set", pusher(gateway.url))
    user.leave(room)
    other.send(room, "gone?")
    gateway.none()


def test_notifications(user, other):
    room = user.create_room(preset="public_chat")
    other.send(other.create_room(), "elsewhere")
    other.join(room)
    events = [other.send(room, f"number {i}") for i in range(3)]
    mention = other.send(room, {"msgtype": "m.text", "body": "you", "m.mentions": {"user_ids": [user.user_id]}})
    user.send(room, "mine")
    other.send(room, {"msgtype": "m.notice", "body": "beep"})
    user.post(f"/rooms/{quote(room)}/receipt/m.read/{quote(events[1])}")
    answer = user.get("/notifications")
    assert "next_token" not in answer
    found = answer["notifications"]
    assert [one["event"]["event_id"] for one in found] == [mention, *reversed(events)]
    assert [one["read"] for one in found] == [False, False, True, True]
    assert found[0]["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]
    assert all(one["room_id"] == room and "room_id" not in one["event"] for one in found)
    only = user.get("/notifications?only=highlight")["notifications"]
    assert [one["event"]["event_id"] for one in only] == [mention]
    first = user.get("/notifications?limit=2")
    second = user.get("/notifications", params={"limit": 2, "from": first["next_token"]})
    assert [one["event"]["event_id"] for one in first["notifications"] + second["notifications"]] == [
        mention, *reversed(events)]
    user.get("/notifications?from=nonsense!", expect=(400, "M_INVALID_PARAM"))
    user.get("/notifications?limit=x", expect=(400, "M_INVALID_PARAM"))
