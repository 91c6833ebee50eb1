"""What other servers, and people, can make the node hold in memory has an end."""

import os
import pathlib
import socket
import threading
import uuid

from e2ee import canonical
from fedpeer import now
import pytest

from test_attacks import peak_of

pytestmark = pytest.mark.peers

# Nearly all the values that a body may hold: a hundred megabytes of memory.
FULL = [0] * 4_700_000


@pytest.fixture
def silent():
    """A server that takes connections and never says a word, so that its keys are waited for."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def begin(node):
    """The memory that the node takes, in MiB, from which on its peak is measured."""
    (pathlib.Path("/proc") / str(node.process.pid) / "clear_refs").write_text("5")
    return peak_of(node)


def slow_event(peer, node, silent):
    """One whose sender's server must be asked for its key."""
    room = node.new_user().create_room(room_version="11")
    return peer.key.sign_json({
        "type": "m.room.message", "sender": f"@x:{silent}", "room_id": room, "content": {"body": "x"}, "depth": 5,
        "prev_events": ["$" + "a" * 43], "auth_events": ["$" + "b" * 43], "origin_server_ts": now(), "hashes": {"sha256": "x" * 43},
    }, silent)


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
    first = Sending(peer, node, pdus=[slow_event(peer, node, silent)])
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
    slow = [Sending(each, node, pdus=[slow_event(each, node, silent)], filling=FULL) for each in (peer, third)]
    before = begin(node)
    for sending in slow:
        sending.start()
    for sending in slow:
        sending.join()
    assert sorted(sending.status for sending in slow) == [200, 429]
    assert third.send(node) == {} and peer.send(node) == {}
    assert peak_of(node) - before < limit(450)
