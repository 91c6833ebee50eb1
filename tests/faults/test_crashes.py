"""Nodes and PostgreSQL are killed while people talk: what was acknowledged is there afterwards, on both sides, exactly once."""

import os
import random
import signal
import threading
import time
from collections import Counter

import pytest
import requests

import machine
from client import quote

pytestmark = [pytest.mark.peers, pytest.mark.slow]
SPEAKERS_PER_NODE = 4


class Speaker(threading.Thread):
    """Sends one message after the other, and now and then a state event. What fails is tried again with the same transaction id, as clients do."""

    def __init__(self, client, room, stop):
        super().__init__(daemon=True)
        self.client, self.room, self.stop = client, room, stop
        self.acknowledged = {}  # event id -> body
        self.failure = None

    def run(self):
        number = 0
        try:
            while not self.stop.is_set():
                number += 1
                body = f"{self.client.user_id} says {number}"
                event_id = self._insist(f"/send/m.room.message/{number}", {"msgtype": "m.text", "body": body})
                self.acknowledged[event_id] = body
                if number % 20 == 0:
                    self._insist(f"/state/org.example.mood/{quote(self.client.user_id)}", {"mood": number})
        except Exception as error:  # a thread's failure is the test's
            self.failure = error

    def _insist(self, path, content):
        end = time.monotonic() + 60
        while True:
            try:
                answer = self.client.request("PUT", f"/rooms/{quote(self.room)}{path}", json=content, timeout=20)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status_code == 200:
                return answer.json()["event_id"]
            refused = answer is not None and answer.status_code < 500 and answer.status_code != 429
            assert not refused, f"{path}: {answer.status_code} {answer.text}"
            assert time.monotonic() < end, f"{path} was never acknowledged"
            time.sleep(0.05)


def history(client, room):
    """All events of the room's timeline as this client's node has it, newest first."""
    events, token = [], None
    while True:
        page = client.messages(room, limit=500, **({"from": token} if token else {}))
        events += page["chunk"]
        token = page.get("end")
        if not token:
            return events


def state(client, room):
    return {(event["type"], event["state_key"]): event["event_id"] for event in client.get(f"/rooms/{quote(room)}/state")}


@pytest.fixture
def meeting(own_two_nodes):
    """A room on both nodes with speakers on each; the test does its mischief while they talk, then calls check()."""
    acme, globex = own_two_nodes
    owner, guest = acme.new_user("owner"), globex.new_user("guest")
    levels = {"events_default": 0, "state_default": 0}
    room = owner.create_room(preset="public_chat", power_level_content_override=levels)
    guest.join(room, via=["acme.localhost"])
    people = [owner, guest]
    for node, via in ((acme, ()), (globex, ("globex.localhost",))):
        for _ in range(SPEAKERS_PER_NODE - 1):
            person = node.new_user("speaker")
            person.join(room, via=via)
            people.append(person)
    stop = threading.Event()
    speakers = [Speaker(person, room, stop) for person in people]
    for speaker in speakers:
        speaker.start()

    def check():
        stop.set()
        for speaker in speakers:
            speaker.join(90)
            assert speaker.failure is None, speaker.failure
        acknowledged = {event_id: body for speaker in speakers for event_id, body in speaker.acknowledged.items()}
        assert len(acknowledged) > 100, "too little was said to prove anything"
        # One more from each side, so that each has something to notice a gap by.
        last = [owner.send(room, "the last word"), guest.send(room, "the very last word")]

        def arrived(client):
            seen = {event["event_id"] for event in history(client, room)}
            return not [event_id for event_id in [*acknowledged, *last] if event_id not in seen]

        for client in (owner, guest):
            machine.wait_for(lambda c=client: arrived(c), 120, every=1, what=f"everything at {client.node.server_name}")
            events = history(client, room)
            ids = Counter(event["event_id"] for event in events)
            assert [event_id for event_id, count in ids.items() if count > 1] == []
            bodies = Counter(event["content"].get("body") for event in events if event["type"] == "m.room.message")
            assert [body for body in acknowledged.values() if bodies[body] != 1] == []
        machine.wait_for(lambda: state(owner, room) == state(guest, room), 60, every=1, what="equal state")
        return len(acknowledged)

    yield check
    stop.set()


def test_kill_9_at_twenty_random_moments(own_two_nodes, meeting):
    for _ in range(20):
        time.sleep(random.uniform(0.2, 1.5))
        victim = random.choice(own_two_nodes)
        victim.kill9()
        victim.start()
    meeting()


def test_postgresql_restarts_under_load(own_two_nodes, meeting):
    for victim in own_two_nodes * 2:
        time.sleep(1.5)
        postmaster = victim.postgres_pid()
        os.kill(postmaster, signal.SIGINT)
        machine.wait_for(lambda: not os.path.exists(f"/proc/{postmaster}"), 20, what="PostgreSQL's end")
        machine.wait_for(lambda: victim.postgres_pid() not in (None, postmaster), 30, what="PostgreSQL's return")
    meeting()


def test_postgresql_killed_under_load(own_two_nodes, meeting):
    for victim in own_two_nodes:
        time.sleep(1.5)
        postmaster = victim.postgres_pid()
        os.kill(postmaster, signal.SIGKILL)
        machine.wait_for(lambda: victim.postgres_pid() not in (None, postmaster), 30, what="PostgreSQL's return")
    meeting()
