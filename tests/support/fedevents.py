"""Events of room versions 10 to 12 as the specification has them made: hashes, signatures, ids."""

import base64
import hashlib

from e2ee import b64, canonical

KEPT = {"type", "room_id", "sender", "state_key", "content", "hashes", "signatures", "depth", "prev_events", "auth_events",
        "origin_server_ts", "event_id"}
KEPT_CONTENT = {
    "m.room.member": {"membership", "join_authorised_via_users_server"},
    "m.room.join_rules": {"join_rule", "allow"},
    "m.room.power_levels": {"ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"},
    "m.room.history_visibility": {"history_visibility"},
    "m.room.create": {"creator"},
}


def redact(version, event):
    """The pruned form ("Redactions" in rooms/v9 and rooms/v11)."""
    new = int(version) >= 11
    kept = KEPT if new else KEPT | {"prev_state", "origin", "membership"}
    pruned = {key: value for key, value in event.items() if key in kept}
    content, kind = event["content"], event["type"]
    if new and kind == "m.room.create":
        return pruned
    keys = KEPT_CONTENT.get(kind, set())
    if new and kind == "m.room.power_levels":
        keys = keys | {"invite"}
    if new and kind == "m.room.redaction":
        keys = {"redacts"}
    pruned["content"] = {key: value for key, value in content.items() if key in keys}
    if new and kind == "m.room.member" and "signed" in content.get("third_party_invite", {}):
        pruned["content"]["third_party_invite"] = {"signed": content["third_party_invite"]["signed"]}
    return pruned


def without(event, *keys):
    return {key: value for key, value in event.items() if key not in keys}


def content_hash(event):
    return b64(hashlib.sha256(canonical(without(event, "unsigned", "signatures", "hashes"))).digest())


def event_id(version, event):
    digest = hashlib.sha256(canonical(without(redact(version, event), "signatures", "unsigned"))).digest()
    return "$" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def sign(version, event, server, key):
    """Adds a server's signature; the hash must be there."""
    signature = b64(key.secret.sign(canonical(without(redact(version, event), "signatures", "unsigned"))).signature)
    signatures = {name: dict(own) for name, own in event.get("signatures", {}).items()}
    signatures.setdefault(server, {})[key.key_id] = signature
    return {**event, "signatures": signatures}


def seal(version, event, server, key):
    """The event with its hash, signed."""
    event = without(event, "hashes", "signatures")
    return sign(version, {**event, "hashes": {"sha256": content_hash(event)}}, server, key)
