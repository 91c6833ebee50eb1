-- The node's own participant: its secrets are sealed under the node key.
CREATE TABLE participant (
    user_id   text COLLATE "C" PRIMARY KEY,
    device_id text COLLATE "C" NOT NULL,
    account   bytea NOT NULL,                        -- sealed Olm account
    since     text                                   -- where its sync stands
);
-- Devices of others as first seen: one that comes back with other keys is not believed.
CREATE TABLE participant_device (
    user_id    text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    curve25519 text COLLATE "C" NOT NULL,
    ed25519    text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, device_id)
);
CREATE TABLE participant_olm_session (
    peer_key   text COLLATE "C" NOT NULL,            -- the peer's curve25519 identity key
    session_id text COLLATE "C" NOT NULL,
    session    bytea NOT NULL,                       -- sealed
    used_ts    bigint NOT NULL,
    PRIMARY KEY (peer_key, session_id)
);
CREATE TABLE participant_inbound_session (
    room_id    text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    sender     text COLLATE "C" NOT NULL,
    sender_key text COLLATE "C" NOT NULL,
    session    bytea NOT NULL,                       -- sealed
    PRIMARY KEY (room_id, session_id)
);
CREATE TABLE participant_message_index (
    session_id text COLLATE "C" NOT NULL,
    index      bigint NOT NULL,
    event_id   text COLLATE "C" NOT NULL,            -- the one event that may use this index: anything else is a replay
    PRIMARY KEY (session_id, index)
);
CREATE TABLE participant_outbound_session (
    room_id text COLLATE "C" PRIMARY KEY,
    session bytea NOT NULL,                          -- sealed
    shared  bytea NOT NULL                           -- JSON: the devices that its key was given to, by user
);
