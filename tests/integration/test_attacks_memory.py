"""What other servers, and people, can make the node hold in memory has an end."""

import itertools
import os
import pathlib
import socket
import threading
import uuid

from e2ee import canonical
from fedpeer import PeerRoom, now, quote
from machine import wait_for
import pytest

from test_attacks import peak_of

pytestmark = pytest.mark.peers

# Nearly all the values that a body may hold: a hundred megabytes of memory.
FULL = [0] * 4_700_000


@pytest.fixture
def silent():
    """Names of servers that take connections and never say a word, so that their keys are waited for."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen(64)
        yield (f"127.0.0.{number}:{listener.getsockname()[1]}" for number in itertools.count(20))


def begin(node):
    """The memory that the node takes, in MiB, from which on its peak is measured."""
    (pathlib.Path("/proc") / str(node.process.pid) / "clear_refs").write_text("5")
    return peak_of(node)


def slow_event(peer, room_id, server):
    """One whose sender's server must be asked for its key."""
    return peer.key.sign_json({
        "type": "m.room.message", "sender": f"@x:{server}", "room_id": room_id, "content": {"body": "x"}, "depth": 5,
        "prev_events": [unknown_event()], "auth_events": [unknown_event()], "origin_server_ts": now(),
        "hashes": {"sha256": "x" * 43},
    }, server)


def unknown_event():
    return "$" + uuid.uuid4().hex + "a" * 11


class Sending(threading.Thread):
    """A transaction under way."""

    def __init__(self, peer, node, **content):
        super().__init__(daemon=True)
        self.peer, self.node = peer, node
        self.target = f"/_matrix/federation/v1/send/{uuid.uuid4().hex}"
        content = {"origin": peer.name, "origin_server_ts": now(), **content}
        self.body = canonical(content)
        self.headers = {"Authorization": peer.authorization("PUT", self.target, node.server_name, content)}
        self.status = None

    def run(self):
        response = self.peer.request(self.node, "PUT", self.target, headers=self.headers, data=self.body)
        self.status = response.status_code


def limit(mebibytes):
    """With a sanitizer shadow memory and what is kept of freed memory come on top."""
    return mebibytes * (3 if "COMITY_SANITIZED" in os.environ else 1)


@pytest.mark.slow
def test_class_fed_body_memory_of_waiting_transactions(federated, silent):
    """Transactions that wait for their turn are held as they came."""
    node, peer, _ = federated
    room = node.new_user().create_room(room_version="11")
    first = Sending(peer, node, pdus=[slow_event(peer, room, next(silent))])
    others = [Sending(peer, node, pdus=[], filling=FULL) for _ in range(7)]
    before = begin(node)
    first.start()
    for sending in others:
        sending.start()
    for sending in [first, *others]:
        sending.join()
        assert sending.status == 200
    assert peak_of(node) - before < limit(450)


@pytest.mark.slow
def test_class_fed_body_memory_of_several_servers(federated, silent):
    """However many servers stand at one address, so much and no more is read for it at a time."""
    node, peer, third = federated
    room = node.new_user().create_room(room_version="11")
    slow = [Sending(each, node, pdus=[slow_event(each, room, next(silent))], filling=FULL) for each in (peer, third)]
    before = begin(node)
    for sending in slow:
        sending.start()
    for sending in slow:
        sending.join()
    assert sorted(sending.status for sending in slow) == [200, 429]
    assert third.send(node) == {} and peer.send(node) == {}
    assert peak_of(node) - before < limit(450)


@pytest.mark.slow
def test_class_fed_body_memory_of_states(federated, silent):
    """The states of large rooms are fetched and read one at a time, whatever takes how long in it."""
    node, peer, _ = federated
    alice = node.new_user()
    events = []
    for _ in range(3):
        room = PeerRoom.join(peer, node, alice.create_room(preset="public_chat", room_version="11"), "@dana:peer.test")
        state = {"pdus": [slow_event(peer, room.room_id, next(silent))], "auth_chain": [], "filling": ["12345"] * 3_700_000}
        state = canonical(state)
        ids = {"pdu_ids": [unknown_event() for _ in range(11)], "auth_chain_ids": []}
        peer.on("GET", f"/state_ids/{quote(room.room_id)}$", lambda match, content, query, ids=ids: ids)
        peer.on("GET", f"/state/{quote(room.room_id)}$", lambda match, content, query, state=state: state)
        events.append(room.message("@dana:peer.test", "x", prev_events=[unknown_event()]))
    before = begin(node)
    for event in events:
        peer.send(node, event)
    wait_for(lambda: len(peer.asked("/state/")) >= 6, 90, what="every state, in short and at length")
    assert peak_of(node) - before < limit(300)
