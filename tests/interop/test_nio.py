"""Two companies through Debian's matrix-nio."""

import nio
import pytest

from nio_person import Person, encryption, must, run

pytestmark = [pytest.mark.peers, pytest.mark.slow]


@pytest.fixture
def people(two_nodes, tmp_path):
    """Accounts alice at acme, bob and carol at globex: (url, user id, password, store)."""
    acme, globex = two_nodes

    def account(node, name):
        store = tmp_path / name
        store.mkdir()
        client = node.new_user(name)
        return node.url, client.user_id, client.password, store

    return {"alice": account(acme, "alice"), "bob": account(globex, "bob"), "carol": account(globex, "carol")}


async def enter(account):
    url, user_id, password, store = account
    return await Person(url, user_id, store).sign_in(password)


async def encrypted_room(owner, guest, visibility="shared"):
    hidden = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": visibility}}
    made = must(await owner.client.room_create(invite=[guest.client.user_id], initial_state=[encryption(), hidden]))
    await owner.until("the new room is known", lambda: made.room_id in owner.client.rooms)
    await guest.join(made.room_id)
    await owner.sees(made.room_id, guest.client.user_id)
    return made.room_id


def test_two_companies_talk(people):
    async def story():
        alice, bob = await enter(people["alice"]), await enter(people["bob"])
        room = await encrypted_room(alice, bob)
        for speaker, listener, body in (
            (alice, bob, "Good morning, Globex"),
            (bob, alice, "Good morning, Acme"),
            (alice, bob, "Shall we sign?"),
            (bob, alice, "We shall"),
        ):
            event_id = await speaker.say(room, body)
            assert await listener.hear(room, event_id) == body
        await alice.leave_the_house()
        await bob.leave_the_house()

    run(story())


def test_late_joiner_reads_nothing_from_before(people):
    async def story():
        alice, bob = await enter(people["alice"]), await enter(people["bob"])
        room = await encrypted_room(alice, bob, visibility="joined")
        hidden = await alice.say(room, "Not for carol")
        await bob.hear(room, hidden)

        carol = await enter(people["carol"])
        must(await alice.client.room_invite(room, carol.client.user_id))
        await carol.join(room)
        await alice.sees(room, carol.client.user_id)
        welcome = await alice.say(room, "Welcome")
        assert await carol.hear(room, welcome) == "Welcome"

        page = must(await carol.client.room_messages(room, carol.client.next_batch, limit=100))
        assert hidden not in [event.event_id for event in page.chunk]
        assert isinstance(await carol.client.room_get_event(room, hidden), nio.ErrorResponse)
        for person in (alice, bob, carol):
            await person.leave_the_house()

    run(story())

