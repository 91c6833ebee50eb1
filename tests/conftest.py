"""Fixtures: nodes, clients, a directory. tests/README.md tells how to use them."""

import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))

from authority import Authority  # noqa: E402
from directory import Directory  # noqa: E402
from fedpeer import Peer, introduce  # noqa: E402
from node import Node, resolve_each_other  # noqa: E402
import machine  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the log of every node that is there."""
    report = (yield).get_result()
    if report.failed:
        for node in Node.all:
            report.sections.append((f"log of {node.server_name}", node.log_text()[-6000:]))


def finish(node):
    """Ends a node and holds it to its promises: it stops in time with status 0, and nothing in it complained."""
    status = node.stop()
    complaints = node.complaints()
    node.remove()
    assert not complaints, "\n".join(complaints[:20])
    assert status in (0, None, -9), f"the node ended with status {status}"


@pytest.fixture(scope="session")
def authority():
    """A private certificate authority, see support/authority.py."""
    folder = machine.make_folder()
    yield Authority(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_node():
    """make_node(server_name, settings, ...) makes a node (not started yet) that ends with the test."""
    nodes = []

    def make(*arguments, **more):
        nodes.append(Node(*arguments, **more))
        return nodes[-1]

    yield make
    for node in nodes:
        finish(node)


@pytest.fixture(scope="session")
def node():
    """The node that tests share: open registration, no limits. Take new users (node.new_user()) and new rooms; do not stop it."""
    shared = Node("localhost", fresh=True).start()
    yield shared
    finish(shared)


@pytest.fixture
def user(node):
    """A new account on the shared node."""
    return node.new_user()


@pytest.fixture
def other(node):
    """A second new account on the shared node."""
    return node.new_user("other")


@pytest.fixture(scope="session")
def directory(authority):
    """A running slapd with the demo people, see support/directory.py."""
    slapd = Directory(authority).start()
    yield slapd
    slapd.remove()


def make_pair(authority, names, settings=None):
    nodes = [Node(name, settings, tls=authority.issue(name), ca=authority.ca) for name in names]
    resolve_each_other(nodes)
    return nodes


@pytest.fixture(scope="session")
def two_nodes(authority):
    """Two running nodes that know each other, acme.localhost and globex.localhost; shared, so take new users and rooms."""
    nodes = make_pair(authority, ("acme.localhost", "globex.localhost"))
    for each in nodes:
        each.start()
    yield nodes
    for each in nodes:
        finish(each)


@pytest.fixture
def own_two_nodes(authority):
    """Two such nodes for this test alone, started: it may stop and kill them."""
    nodes = make_pair(authority, ("acme.localhost", "globex.localhost"))
    for each in nodes:
        each.start()
    yield nodes
    for each in nodes:
        finish(each)


@pytest.fixture(scope="module")
def federated(authority):
    """(node, peer, third): a node with TLS that knows two small servers of Python's, see support/fedpeer.py."""
    peers = [Peer(name, authority).start() for name in ("peer.test", "third.test")]
    node = Node("acme.localhost", tls=authority.issue("acme.localhost"), ca=authority.ca)
    resolve_each_other([node, *peers])
    node.start()
    introduce(node, *peers)
    yield (node, *peers)
    for peer in peers:
        peer.stop()
    finish(node)
