-- The node's own participant: its secrets are sealed under the node key.
CREATE TABLE participant (
    user_id   text COLLATE "C" PRIMARY KEY,
    device_id text COLLATE "C" NOT NULL,
    account   bytea NOT NULL,                        -- sealed Olm account
    since     text                                   -- where its sync stands
);
CREATE TABLE participant_olm_session (
    user_id    text COLLATE "C" NOT NULL,
    peer_key   text COLLATE "C" NOT NULL,            -- the peer's curve25519 identity key
    session_id text COLLATE "C" NOT NULL,
    session    bytea NOT NULL,                       -- sealed
    used_ts    bigint NOT NULL,
    PRIMARY KEY (user_id, peer_key, session_id)
);
CREATE TABLE participant_inbound_session (
    user_id    text COLLATE "C" NOT NULL,
    room_id    text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    sender_key text COLLATE "C" NOT NULL,
    sender     text COLLATE "C" NOT NULL,
    ed25519    text COLLATE "C" NOT NULL,            -- the key the sender claimed over Olm
    session    bytea NOT NULL,                       -- sealed
    PRIMARY KEY (user_id, room_id, session_id, sender_key)
);
CREATE TABLE participant_message_index (
    user_id    text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    index      bigint NOT NULL,
    event_id   text COLLATE "C" NOT NULL,            -- the one event that may use this index: anything else is a replay
    PRIMARY KEY (user_id, session_id, index)
);
CREATE TABLE participant_outbound_session (
    user_id  text COLLATE "C" NOT NULL,
    room_id  text COLLATE "C" NOT NULL,
    session  bytea NOT NULL,                         -- sealed
    shared   bytea NOT NULL,                         -- JSON: whom the key was given to
    PRIMARY KEY (user_id, room_id)
);
