"""People who use matrix-nio, the client library of many bots: libolm, and the old r0 paths."""

import asyncio
import time

import nio

PATIENCE = 60


def must(response):
    """The response, unless it is one of nio's errors."""
    assert not isinstance(response, nio.ErrorResponse), response
    return response


class Person:
    """A signed-in nio client that trusts every device and remembers what it could read."""

    def __init__(self, url, user_id, store):
        config = nio.AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False)
        self.client = nio.AsyncClient(url, user_id, store_path=str(store), config=config)
        self.heard = {}
        self.client.add_event_callback(self._hear, nio.RoomMessageText)

    async def _hear(self, room, event):
        self.heard[event.event_id] = event

    async def sign_in(self, password):
        must(await self.client.login(password, device_name="nio"))
        await self.sync()
        return self

    async def sync(self):
        must(await self.client.sync(timeout=300, full_state=not self.client.next_batch))
        if self.client.should_upload_keys:
            must(await self.client.keys_upload())
        if self.client.should_query_keys:
            must(await self.client.keys_query())
        for user, devices in list(self.client.device_store.items()):
            for device in devices.values():
                if user != self.client.user_id and not device.verified:
                    self.client.verify_device(device)

    async def until(self, what, found):
        end = time.monotonic() + PATIENCE
        while not found():
            assert time.monotonic() < end, f"{self.client.user_id} waited in vain until {what}"
            await self.sync()

    async def join(self, room_id):
        await self.until("the invite arrives", lambda: room_id in self.client.invited_rooms)
        must(await self.client.join(room_id))
        await self.until("the room is joined", lambda: room_id in self.client.rooms)

    async def sees(self, room_id, user_id):
        await self.until(f"{user_id} is in the room", lambda: user_id in self.client.rooms[room_id].users)

    async def say(self, room_id, body):
        content = {"msgtype": "m.text", "body": body}
        sent = await self.client.room_send(room_id, "m.room.message", content, ignore_unverified_devices=True)
        return must(sent).event_id

    async def hear(self, room_id, event_id):
        await self.until(f"{event_id} can be read", lambda: event_id in self.heard)
        assert self.heard[event_id].decrypted, "the message was sent in the clear"
        return self.heard[event_id].body

    async def leave_the_house(self):
        await self.client.logout()
        await self.client.close()


def encryption():
    return {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 4 * PATIENCE))
