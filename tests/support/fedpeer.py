"""A small homeserver for tests: it signs whatever it is told to sign, and answers whatever a test wants answered."""

import http.client
import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse
import uuid

import nacl.signing

import fedevents
import machine
from e2ee import b64, canonical


UNVERIFIED = ssl._create_unverified_context()


class Response:
    def __init__(self, response):
        self.status_code = response.status
        self.content = response.read()
        self.text = self.content.decode(errors="replace")

    def json(self):
        return json.loads(self.content)


class SigningKey:
    def __init__(self, key_id="ed25519:peer"):
        self.key_id = key_id
        self.secret = nacl.signing.SigningKey.generate()

    @property
    def public(self):
        return b64(self.secret.verify_key.encode())

    def sign_json(self, thing, name):
        signature = b64(self.secret.sign(canonical(fedevents.without(thing, "signatures", "unsigned"))).signature)
        signatures = {server: dict(own) for server, own in thing.get("signatures", {}).items()}
        signatures.setdefault(name, {})[self.key_id] = signature
        return {**thing, "signatures": signatures}


def quote(text):
    return urllib.parse.quote(text, safe="")


class Peer:
    """start() listens; a node finds it by [federation] resolve, see settings_for()."""

    def __init__(self, name, authority):
        self.name = name
        self.key = SigningKey()
        self.old_keys = {}  # key id -> (public key, expired_ts)
        self.valid_for_ms = 24 * 3600 * 1000
        self.port = machine.free_port()
        self.requests = []  # (method, path, content) of all that was asked, keys aside
        self.handlers = []  # (method, expression, function); the newest first
        self.events = {}    # event id -> event, for GET event
        self._files = authority.issue(name)
        self._server = None

    # Being asked

    def start(self):
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                status, answer = peer.answer(self.command, self.path, json.loads(body) if body else None)
                payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_PUT = do_POST = serve

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, self._files))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def on(self, method, expression, function):
        """function(match, content, query) answers requests whose path fits; it returns the content, or (status, content)."""
        self.handlers.insert(0, (method, re.compile(expression), function))

    def answer(self, method, target, content):
        url = urllib.parse.urlsplit(target)
        path = url.path
        if path == "/_matrix/key/v2/server":
            return 200, self.key_document()
        self.requests.append((method, target, content))
        for wanted, expression, function in self.handlers:
            match = expression.search(path) if wanted == method else None
            if match:
                answer = function(match, content, urllib.parse.parse_qs(url.query))
                return answer if isinstance(answer, tuple) else (200, answer)
        return self.answer_default(method, path, content)

    def host(self, room, **answer):
        """Lets others into a room of the peer's: answers make_join and send_join; `answer` replaces members of the latter."""
        def make_join(match, content, query):
            user = urllib.parse.unquote(match[1])
            event = room.make(user, "m.room.member", {"membership": "join"}, user)
            return {"event": fedevents.without(event, "hashes", "signatures"), "room_version": room.version}

        def send_join(match, content, query):
            state = list(room.state.values())
            room.add(content)
            return {"origin": self.name, "state": state, "auth_chain": room.auth_chain(state + [content]), "event": content,
                    "members_omitted": False, "servers_in_room": [self.name], **answer}

        self.on("GET", f"/make_join/{quote(room.room_id)}/(.*)$", make_join)
        self.on("PUT", f"/v2/send_join/{quote(room.room_id)}/", send_join)

    def answer_default(self, method, path, content):
        parts = [urllib.parse.unquote(part) for part in path.split("/")]
        if "send" in parts:
            return 200, {"pdus": {fedevents.event_id("11", pdu): {} for pdu in content["pdus"]}}
        if "event" in parts and parts[-1] in self.events:
            return 200, {"origin": self.name, "origin_server_ts": now(), "pdus": [self.events[parts[-1]]]}
        return 404, {"errcode": "M_NOT_FOUND", "error": "Not here"}

    def asked(self, part):
        """The requests whose target has `part` in it."""
        return [request for request in self.requests if part in urllib.parse.unquote(request[1])]

    def pdus(self):
        """All that transactions brought."""
        return [pdu for _, _, content in self.asked("/send/") for pdu in content["pdus"]]

    def edus(self):
        return [edu for _, _, content in self.asked("/send/") for edu in content.get("edus", [])]

    def key_document(self):
        return self.key.sign_json({
            "server_name": self.name,
            "verify_keys": {self.key.key_id: {"key": self.key.public}},
            "old_verify_keys": {key_id: {"key": public, "expired_ts": expired}
                                for key_id, (public, expired) in self.old_keys.items()},
            "valid_until_ts": now() + self.valid_for_ms,
        }, self.name)

    # Asking

    def authorization(self, method, target, to, content=None, **changes):
        signed = {"method": method, "uri": target, "origin": self.name, "destination": to}
        if content is not None:
            signed["content"] = content
        signature = b64(self.key.secret.sign(canonical(signed)).signature)
        fields = {"origin": self.name, "destination": to, "key": self.key.key_id, "sig": signature, **changes}
        return "X-Matrix " + ",".join(f'{name}="{value}"' for name, value in fields.items() if value is not None)

    def request(self, node, method, target, content=None, *, headers=None, data=None, timeout=60):
        """The target goes out in its very bytes, and so does `data` in place of the content; of a header there may be a list."""
        if headers is None:
            headers = {"Authorization": self.authorization(method, target, node.server_name, content)}
        body = data if data is not None else b"" if content is None else canonical(content)
        connection = http.client.HTTPSConnection("127.0.0.1", node.federation_port, timeout=timeout, context=UNVERIFIED)
        try:
            connection.putrequest(method, target)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                for each in value if isinstance(value, list) else [value]:
                    connection.putheader(name, each)
            connection.endheaders(body)
            return Response(connection.getresponse())
        finally:
            connection.close()

    def get(self, node, target, expect=200):
        response = self.request(node, "GET", target)
        assert response.status_code == expect, f"{target}: {response.status_code} {response.text}"
        return response.json()

    def put(self, node, target, content, expect=200):
        response = self.request(node, "PUT", target, content)
        assert response.status_code == expect, f"{target}: {response.status_code} {response.text}"
        return response.json()

    def post(self, node, target, content, expect=200):
        response = self.request(node, "POST", target, content)
        assert response.status_code == expect, f"{target}: {response.status_code} {response.text}"
        return response.json()

    def send(self, node, *pdus, edus=(), txn=None, expect=200):
        """A transaction; returns what was said of each event."""
        content = {"origin": self.name, "origin_server_ts": now(), "pdus": list(pdus), "edus": list(edus)}
        answer = self.put(node, f"/_matrix/federation/v1/send/{txn or uuid.uuid4().hex}", content, expect)
        return answer.get("pdus")


def introduce(node, *peers):
    """Waits until the node has the peers' keys: the first connections of a program that a sanitizer watches take their time."""
    target = f"/_matrix/federation/v1/query/profile?user_id={quote('@nobody:' + node.server_name)}"
    for peer in peers:
        machine.wait_for(lambda each=peer: each.request(node, "GET", target).status_code != 401, 60, what=f"the keys of {peer.name}")


def now():
    return int(time.time() * 1000)


class PeerRoom:
    """What a peer knows of a room: enough to make events that the rules let in."""

    def __init__(self, peer, room_id, version):
        self.peer = peer
        self.room_id = room_id
        self.version = version
        self.state = {}   # (type, state key) -> event
        self.latest = []  # event ids
        self.depth = 0
        self.all = {}     # event id -> event

    @classmethod
    def join(cls, peer, node, room_id, user):
        """Joins through a node, as a server should."""
        path = f"/_matrix/federation/v1/make_join/{quote(room_id)}/{quote(user)}?ver=10&ver=11&ver=12"
        made = peer.get(node, path)
        room = cls(peer, room_id, made["room_version"])
        event = room.seal({**made["event"], "origin_server_ts": now()})
        path = f"/_matrix/federation/v2/send_join/{quote(room_id)}/{quote(room.id_of(event))}"
        answer = peer.put(node, path, event)
        for each in answer["state"] + answer["auth_chain"]:
            room.all[room.id_of(each)] = each
        for each in answer["state"]:
            room.state[each["type"], each["state_key"]] = each
        room.add(event)
        return room

    @classmethod
    def create(cls, peer, creator, version="11", join_rule="public", **content):
        """A room of the peer's own."""
        room = cls(peer, None, version)
        create = {"room_version": version, **content}
        if version == "10":
            create["creator"] = creator
        room_id = None if version == "12" else f"!{uuid.uuid4().hex}:{peer.name}"
        room.room_id = room_id
        event = room.make(creator, "m.room.create", create, "")
        if version == "12":
            room.room_id = "!" + room.id_of(event)[1:]
        room.add(event)
        room.add(room.make(creator, "m.room.member", {"membership": "join"}, creator))
        users = {} if version == "12" else {creator: 100}
        room.add(room.make(creator, "m.room.power_levels", {"users": users}, ""))
        room.add(room.make(creator, "m.room.join_rules", {"join_rule": join_rule}, ""))
        return room

    def id_of(self, event):
        return fedevents.event_id(self.version, event)

    def seal(self, event):
        return fedevents.seal(self.version, event, self.peer.name, self.peer.key)

    def auth_for(self, sender, kind, content, state_key):
        keys = [("m.room.power_levels", ""), ("m.room.member", sender)]
        if self.version != "12":
            keys.append(("m.room.create", ""))
        if kind == "m.room.member":
            keys.append(("m.room.member", state_key))
            if content.get("membership") in ("join", "invite", "knock"):
                keys.append(("m.room.join_rules", ""))
        if kind == "m.room.create":
            keys = []
        found = [self.state[key] for key in dict.fromkeys(keys) if key in self.state]
        return [self.id_of(event) for event in found]

    def make(self, sender, kind, content, state_key=None, **changes):
        """An event on top of all that is known; changes replace members, None takes one away."""
        event = {
            "type": kind, "sender": sender, "content": content, "room_id": self.room_id, "depth": self.depth + 1,
            "prev_events": list(self.latest), "auth_events": self.auth_for(sender, kind, content, state_key),
            "origin_server_ts": now(), **({} if state_key is None else {"state_key": state_key}), **changes,
        }
        return self.seal({key: value for key, value in event.items() if value is not None})

    def message(self, sender, body, **changes):
        return self.make(sender, "m.room.message", {"msgtype": "m.text", "body": body}, **changes)

    def add(self, event):
        """The event becomes the newest of the room."""
        event_id = self.id_of(event)
        self.all[event_id] = self.peer.events[event_id] = event
        if "state_key" in event:
            self.state[event["type"], event["state_key"]] = event
        self.latest = [event_id]
        self.depth = event["depth"]
        return event

    def send(self, node, sender, kind, content, state_key=None, **changes):
        """Makes an event, adds it and sends it alone; returns its id."""
        event = self.add(self.make(sender, kind, content, state_key, **changes))
        result = self.peer.send(node, event)
        assert result == {self.id_of(event): {}}, result
        return self.id_of(event)

    def say(self, node, sender, body):
        return self.send(node, sender, "m.room.message", {"msgtype": "m.text", "body": body})

    def auth_chain(self, events):
        chain, wanted = {}, [each for event in events for each in event["auth_events"]]
        while wanted:
            event_id = wanted.pop()
            if event_id not in chain and event_id in self.all:
                chain[event_id] = self.all[event_id]
                wanted += self.all[event_id]["auth_events"]
        return list(chain.values())
