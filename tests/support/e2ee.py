"""Keys of a device and of a user, made and signed as clients do (PyNaCl)."""

import base64
import json

import nacl.signing


def b64(data):
    return base64.b64encode(data).decode().rstrip("=")


def canonical(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


class Key:
    """An Ed25519 key pair."""

    def __init__(self):
        self.secret = nacl.signing.SigningKey.generate()
        self.public = b64(bytes(self.secret.verify_key))

    def sign(self, thing, user_id, name=None):
        """`thing` with this key's signature; `name` is the device id, or else the public key."""
        bare = {key: value for key, value in thing.items() if key not in ("signatures", "unsigned")}
        signature = b64(self.secret.sign(canonical(bare)).signature)
        signatures = {user: dict(own) for user, own in thing.get("signatures", {}).items()}
        signatures.setdefault(user_id, {})[f"ed25519:{name or self.public}"] = signature
        return {**thing, "signatures": signatures}


class Device:
    """The keys of a client's device."""

    def __init__(self, client):
        self.client, self.user_id, self.device_id = client, client.user_id, client.device_id
        self.key = Key()
        self.curve = Key().public
        self._count = 0

    def identity(self, **changes):
        keys = {f"curve25519:{self.device_id}": self.curve, f"ed25519:{self.device_id}": self.key.public}
        bare = {"user_id": self.user_id, "device_id": self.device_id, "keys": keys,
                "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"], **changes}
        return self.sign(bare)

    def sign(self, thing):
        return self.key.sign(thing, self.user_id, self.device_id)

    def one_time_keys(self, count, **more):
        keys = {}
        for _ in range(count):
            self._count += 1
            keys[f"signed_curve25519:AAAA{self._count}"] = self.sign({"key": Key().public, **more})
        return keys

    def upload(self, count=0, **more):
        """Uploads the identity keys and `count` one-time keys."""
        body = {"device_keys": self.identity(), "one_time_keys": self.one_time_keys(count), **more}
        return self.client.post("/keys/upload", body)


class CrossSigning:
    """A user's three cross-signing keys."""

    def __init__(self, client):
        self.client, self.user_id = client, client.user_id
        self.master, self.self_signing, self.user_signing = Key(), Key(), Key()

    def _object(self, key, usage):
        return {"user_id": self.user_id, "usage": [usage], "keys": {f"ed25519:{key.public}": key.public}}

    @property
    def master_key(self):
        return self._object(self.master, "master")

    def body(self, **more):
        sign = lambda thing: self.master.sign(thing, self.user_id)  # noqa: E731
        return {"master_key": self.master_key,
                "self_signing_key": sign(self._object(self.self_signing, "self_signing")),
                "user_signing_key": sign(self._object(self.user_signing, "user_signing")), **more}

    def upload(self, **more):
        return self.client.post("/keys/device_signing/upload", self.body(**more))

    def password(self):
        return {"type": "m.login.password", "password": self.client.password,
                "identifier": {"type": "m.id.user", "user": self.user_id}}


def query(client, *users, **more):
    return client.post("/keys/query", {"device_keys": {user.user_id: [] for user in users}, **more})


def claim(client, device, algorithm="signed_curve25519"):
    """The key that was got for a device, as (name, key); None when there was none."""
    answer = client.post("/keys/claim", {"one_time_keys": {device.user_id: {device.device_id: algorithm}}})
    keys = answer["one_time_keys"].get(device.user_id, {}).get(device.device_id)
    return next(iter(keys.items())) if keys else None
