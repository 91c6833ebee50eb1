"""What tests of accounts share: fresh names, the ways to sign in, proof of a password, and what rooms say of a user."""

import itertools
import time

_names = itertools.count(1)


def new_name(prefix="name"):
    return f"{prefix}{next(_names)}-{time.monotonic_ns() % 100000}"


def login(node, user, password="correct horse", *, expect=200, headers=None, **more):
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password, **more}
    return node.client().post("/login", body, expect=expect, headers=headers)


def signed_in(node, answer):
    client = node.client()
    client.user_id, client.token, client.device_id = answer["user_id"], answer["access_token"], answer["device_id"]
    return client


def proof(user, password=None):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id},
            "password": password or user.password}


def member_content(reader, room, user):
    return reader.state(room, "m.room.member", user.user_id)
