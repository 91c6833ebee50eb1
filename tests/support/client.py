"""A Matrix client of a few lines: requests with a token, and the calls that nearly every test makes."""

import itertools
import json
import time
import urllib.parse

import requests

V3 = "/_matrix/client/v3"
_transactions = itertools.count(1)


def quote(segment):
    """A path segment, fully percent-encoded ("/" too)."""
    return urllib.parse.quote(segment, safe="")


class Client:
    """One person's device at one node. `request` returns the response; get, post, put and delete check the status and return JSON."""

    def __init__(self, node, user_id=None, token=None, device_id=None, password=None, base=None):
        self.node, self.user_id, self.token = node, user_id, token
        self.device_id, self.password = device_id, password
        self.base = base or node.url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(node.ca) if node.ca else True

    def request(self, method, path, *, json=None, token=True, headers=None, timeout=60, **more):
        """token: True for the client's own, None for none, or a text. A path without /_ in front is below /_matrix/client/v3."""
        headers = dict(headers or {})
        token = self.token if token is True else token
        if token:
            headers.setdefault("Authorization", f"Bearer {token}")
        url = self.base + (path if path.startswith(("/_", "/.")) else V3 + path)
        return self.session.request(method, url, json=json, headers=headers, timeout=timeout, **more)

    def call(self, method, path, json=None, *, expect=200, **more):
        """As request, but asserts the status and returns the body's JSON. `expect` may be (status, errcode)."""
        response = self.request(method, path, json=json, **more)
        status, errcode = expect if isinstance(expect, tuple) else (expect, None)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text[:2000]}"
        body = response.json()
        if errcode:
            assert body.get("errcode") == errcode, f"{method} {path}: {body}"
        return body

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, json=None, **more):
        return self.call("POST", path, {} if json is None else json, **more)

    def put(self, path, json=None, **more):
        return self.call("PUT", path, {} if json is None else json, **more)

    def delete(self, path, json=None, **more):
        return self.call("DELETE", path, json, **more)

    # Accounts

    def register(self, localpart, password="correct horse", **more):
        body = {"username": localpart, "password": password, "auth": {"type": "m.login.dummy"}, **more}
        return self._signed_in(self.post("/register", body, token=None), password)

    def login(self, user, password, **more):
        body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password,
                **more}
        return self._signed_in(self.post("/login", body, token=None), password)

    def _signed_in(self, answer, password):
        self.user_id, self.token, self.device_id = answer["user_id"], answer["access_token"], answer["device_id"]
        self.password = password
        return self

    def another_device(self):
        """The same person, signed in anew."""
        return Client(self.node, base=self.base).login(self.user_id, self.password)

    def twin(self):
        """The same device with connections of its own, for another thread."""
        return Client(self.node, self.user_id, self.token, self.device_id, self.password, self.base)

    # Rooms

    def create_room(self, **body):
        return self.post("/createRoom", body)["room_id"]

    def invite(self, room, user):
        return self.post(f"/rooms/{quote(room)}/invite", {"user_id": getattr(user, "user_id", user)})

    def join(self, room, via=()):
        query = "?" + "&".join(f"server_name={quote(v)}&via={quote(v)}" for v in via) if via else ""
        return self.post(f"/join/{quote(room)}{query}")["room_id"]

    def leave(self, room):
        return self.post(f"/rooms/{quote(room)}/leave")

    def send(self, room, content, kind="m.room.message", txn=None):
        """Sends one event and returns its id. A text is sent as m.text."""
        if isinstance(content, str):
            content = {"msgtype": "m.text", "body": content}
        txn = txn or f"t{next(_transactions)}"
        return self.put(f"/rooms/{quote(room)}/send/{quote(kind)}/{quote(txn)}", content)["event_id"]

    def set_state(self, room, kind, content, state_key="", **more):
        return self.put(f"/rooms/{quote(room)}/state/{quote(kind)}/{quote(state_key)}", content, **more)

    def state(self, room, kind, state_key="", **more):
        return self.get(f"/rooms/{quote(room)}/state/{quote(kind)}/{quote(state_key)}", **more)

    def event(self, room, event_id, **more):
        return self.get(f"/rooms/{quote(room)}/event/{quote(event_id)}", **more)

    def messages(self, room, **query):
        query.setdefault("dir", "b")
        return self.get(f"/rooms/{quote(room)}/messages", params=query)

    def sync(self, since=None, timeout=0, **query):
        """timeout in milliseconds; filter= may be a dictionary."""
        query["timeout"] = timeout
        if since:
            query["since"] = since
        if isinstance(query.get("filter"), dict):
            query["filter"] = json.dumps(query["filter"])
        return self.get("/sync", params=query, timeout=30 + timeout / 1000)

    def sync_until(self, found, since=None, seconds=10):
        """Follows /sync until found(answer) is true; returns (what found returned, next since)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self.sync(since, timeout=0 if since is None else 1000)
            since = answer["next_batch"]
            result = found(answer)
            if result:
                return result, since
        raise AssertionError(f"{self.user_id}: /sync did not bring it within {seconds} s")
