"""The nodes' own participants in an encrypted room that both companies are in."""

import json

import pytest

import machine
from nio_person import encryption

pytestmark = [pytest.mark.peers, pytest.mark.slow]


@pytest.fixture
def room(two_nodes):
    """An encrypted room that the participants of both companies are invited to."""
    acme, globex = two_nodes
    owner = acme.new_user("owner")
    invited = ["@comity:acme.localhost", "@comity:globex.localhost"]
    return owner.create_room(preset="private_chat", invite=invited, initial_state=[encryption()])


def say(node, room, text):
    done = node.run("say", "--room", room, text)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def listen(node, room, count, last=20):
    done = node.run("listen", "--room", room, "--last", str(last), "--count", str(count), "--timeout", "30", "--json")
    assert done.returncode == 0, f"{done.returncode}: {done.stdout} {done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_participants_greet_each_other(two_nodes, room):
    acme, globex = two_nodes
    join = globex.run("listen", "--room", room, "--timeout", "1")  # joins; nothing is said yet
    assert join.returncode == 3, join.stderr
    said = say(acme, room, "Good morning, Globex")
    heard = [line for line in listen(globex, room, 1) if not line["own"] and line.get("content")]
    assert [(line["event_id"], line["sender"]) for line in heard] == [(said, "@comity:acme.localhost")]
    assert heard[0]["encrypted"] and heard[0]["content"]["body"] == "Good morning, Globex"

    answer = say(globex, room, "Good morning, Acme")
    heard = [line for line in listen(acme, room, 1) if not line["own"] and line.get("content")]
    assert [(line["event_id"], line["content"]["body"]) for line in heard] == [(answer, "Good morning, Acme")]


def test_sessions_survive_a_restart(own_two_nodes):
    acme, globex = own_two_nodes
    invited = ["@comity:acme.localhost", "@comity:globex.localhost"]
    room = acme.new_user("owner").create_room(preset="private_chat", invite=invited, initial_state=[encryption()])
    globex.run("listen", "--room", room, "--timeout", "1")
    say(acme, room, "before")
    assert [line["content"]["body"] for line in listen(globex, room, 1) if line.get("content")] == ["before"]
    acme.restart()
    globex.restart()
    say(acme, room, "after")
    bodies = [line["content"]["body"] for line in listen(globex, room, 2) if line.get("content")]
    assert bodies == ["before", "after"]


def test_sessions_that_fell_out_of_step_are_replaced(own_two_nodes):
    """One side lost its Olm sessions, as by a restored backup: it starts another, says so, and not again within the hour."""
    acme, globex = own_two_nodes
    invited = ["@comity:acme.localhost", "@comity:globex.localhost"]
    room = acme.new_user("owner").create_room(preset="private_chat", invite=invited, initial_state=[encryption()])
    globex.run("listen", "--room", room, "--timeout", "1")

    def hears(node, text):
        def last():
            return listen(node, room, 1, last=1)[0].get("content", {}).get("body") == text
        machine.wait_for(last, 20, every=0.5, what=f"the key to {text!r}")

    # Both have heard each other: the sessions are past their first messages.
    say(acme, room, "one")
    hears(globex, "one")
    say(globex, room, "two")
    hears(acme, "two")

    def sessions(node):
        return int(node.sql("SELECT count(*) FROM participant_olm_session"))

    def say_with_new_key(text):
        globex.sql("DELETE FROM participant_outbound_session")
        say(globex, room, text)

    acme.sql("DELETE FROM participant_olm_session")
    say_with_new_key("lost")
    machine.wait_for(lambda: sessions(acme) == 1, 20, what="another session")
    machine.wait_for(lambda: sessions(globex) == 2, 20, what="the news of it")
    say_with_new_key("three")
    hears(acme, "three")

    acme.sql("DELETE FROM participant_olm_session")
    refused = acme.log_text().count("that it does not take")
    say_with_new_key("lost as well")
    machine.wait_for(lambda: acme.log_text().count("that it does not take") > refused, 20, what="a message that does not open")
    acme.stop()  # it finishes what it has begun
    assert acme.log_text().count("started another session") == 1


def test_refuses_a_room_that_it_may_not_enter(two_nodes):
    acme, _ = two_nodes
    room = acme.new_user("owner").create_room(preset="private_chat")
    done = acme.run("say", "--room", room, "let me in")
    assert done.returncode == 1 and done.stderr
