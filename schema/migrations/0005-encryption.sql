-- End-to-end encryption as a server sees it: public keys, mailboxes, opaque backups.

-- Keys of this server's devices.
CREATE TABLE device_key (
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    keys      bytea NOT NULL,                        -- the signed object as uploaded
    position  bigint NOT NULL,
    PRIMARY KEY (user_id, device_id)
);

CREATE TABLE one_time_key (
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    algorithm text COLLATE "C" NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    key       bytea NOT NULL,
    added     bigint GENERATED ALWAYS AS IDENTITY,   -- given out oldest first
    PRIMARY KEY (user_id, device_id, algorithm, key_id)
);
CREATE INDEX one_time_key_next ON one_time_key (user_id, device_id, algorithm, added);

CREATE TABLE fallback_key (
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    algorithm text COLLATE "C" NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    key       bytea NOT NULL,
    used      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, device_id, algorithm)
);

-- Cross-signing keys of local and (cached) remote users.
CREATE TABLE cross_signing_key (
    user_id  text COLLATE "C" NOT NULL,
    usage    text NOT NULL,                          -- master, self_signing, user_signing
    key      bytea NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (user_id, usage)
);

-- Signatures made by others (or by the user's own cross-signing keys) on keys: merged when keys are shown.
CREATE TABLE key_signature (
    target_user   text COLLATE "C" NOT NULL,
    target_key    text COLLATE "C" NOT NULL,         -- device id or public key
    signer_user   text COLLATE "C" NOT NULL,
    signer_key    text COLLATE "C" NOT NULL,         -- "ed25519:..."
    signature     text NOT NULL,
    position      bigint NOT NULL,
    PRIMARY KEY (target_user, target_key, signer_user, signer_key)
);
CREATE INDEX key_signature_signer ON key_signature (signer_user, position);

-- Who changed devices or cross-signing keys, when: one row a user, its newest change.
CREATE TABLE device_list_change (
    user_id  text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL
);
CREATE INDEX device_list_change_position ON device_list_change (position);

-- The per-user counter of m.device_list_update.
CREATE TABLE device_list_stream (
    user_id   text COLLATE "C" PRIMARY KEY,
    taken     bigint NOT NULL,                       -- the newest number given out
    stream_id bigint NOT NULL DEFAULT 0              -- the newest whose change is committed
);

-- Devices of other servers' users, as last told.
CREATE TABLE remote_device_list (
    user_id   text COLLATE "C" PRIMARY KEY,
    stream_id bigint NOT NULL,
    position  bigint NOT NULL,                       -- where the stream was when it was asked for
    told      bigint NOT NULL DEFAULT 0,             -- the newest number heard of while it was stale
    stale     boolean NOT NULL                       -- must be asked for anew
);
CREATE TABLE remote_device (
    user_id      text COLLATE "C" NOT NULL,
    device_id    text COLLATE "C" NOT NULL,
    display_name text,
    keys         bytea,
    PRIMARY KEY (user_id, device_id)
);

-- Mailboxes.
CREATE TABLE to_device (
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    position  bigint NOT NULL,
    number    integer NOT NULL DEFAULT 0,            -- within one position
    message   bytea NOT NULL,                        -- the event as sync shows it: type, sender, content
    PRIMARY KEY (user_id, device_id, position, number)
);
-- How full each is: only the committer, and the device that empties it, touch the row.
CREATE TABLE mailbox (
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    messages  bigint NOT NULL,
    bytes     bigint NOT NULL,
    PRIMARY KEY (user_id, device_id)
);
-- Message ids of m.direct_to_device already delivered.
CREATE TABLE inbound_to_device (
    origin     text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    ts         bigint NOT NULL,
    PRIMARY KEY (origin, message_id)
);

CREATE TABLE key_backup (
    user_id   text COLLATE "C" NOT NULL,
    version   bigint NOT NULL,
    algorithm text NOT NULL,
    auth_data bytea NOT NULL,
    etag      bigint NOT NULL DEFAULT 0,
    deleted   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, version)
);
CREATE TABLE key_backup_session (
    user_id             text COLLATE "C" NOT NULL,
    version             bigint NOT NULL,
    room_id             text COLLATE "C" NOT NULL,
    session_id          text COLLATE "C" NOT NULL,
    first_message_index bigint NOT NULL,
    forwarded_count     bigint NOT NULL,
    is_verified         boolean NOT NULL,
    session_data        bytea NOT NULL,
    PRIMARY KEY (user_id, version, room_id, session_id)
);
