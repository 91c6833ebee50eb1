-- Rooms as event graphs: text ids at the edge, integers inside.

-- The one stream of positions: what was allotted last, forwards and (backfill, negative) backwards.
CREATE TABLE stream (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL,
    batch    bigint NOT NULL                       -- a random name of the batch that wrote last: tells after a lost connection whether it did
);
INSERT INTO stream (position, batch) VALUES (0, 0);

CREATE SEQUENCE event_number INCREMENT BY 1000;
CREATE SEQUENCE state_number INCREMENT BY 1000;
CREATE SEQUENCE sym_number AS integer;
-- Positions of history that was fetched later: they count downwards, so that what is older sorts before.
CREATE SEQUENCE backfill_number INCREMENT BY 1000;

-- Interned texts: types, state keys, users, servers, rooms.
CREATE TABLE sym (
    id   bigint PRIMARY KEY DEFAULT nextval('sym_number'),
    text text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE room (
    id            bigint PRIMARY KEY,              -- sym of the room id
    version       text NOT NULL,
    state         bigint,                          -- current (resolved) state; NULL while only outliers are known
    extremities   bigint[] NOT NULL DEFAULT '{}',  -- forward extremities
    depth         bigint NOT NULL DEFAULT 0,
    flags         integer NOT NULL DEFAULT 0,      -- 1 listed in the public directory, 2 partial state, 4 blocked
    epoch         bigint NOT NULL DEFAULT 0        -- fences the writer: a stale owner's write touches no row
);

CREATE TABLE event (
    id               bigint PRIMARY KEY,
    event_id         text COLLATE "C" NOT NULL UNIQUE,
    room             bigint NOT NULL,
    position         bigint,                       -- NULL for outliers and rejected events; negative when backfilled
    depth            bigint NOT NULL,
    origin_server_ts bigint NOT NULL,
    type             bigint NOT NULL,
    state_key        bigint,                       -- NULL: not a state event
    sender           bigint NOT NULL,
    flags            integer NOT NULL,             -- 1 rejected, 2 soft-failed, 4 outlier, 8 redacted, 16 has a relation
    state_before     bigint,                       -- NULL for outliers
    state_after      bigint,
    prev             bigint[] NOT NULL,            -- those that are known; the others stand in missing_event
    auth             bigint[] NOT NULL,
    redacted_by      bigint
);
CREATE UNIQUE INDEX event_position ON event (position) WHERE position IS NOT NULL;
CREATE INDEX event_room_position ON event (room, position) WHERE position IS NOT NULL;
CREATE INDEX event_room_depth ON event (room, depth);
CREATE INDEX event_room_time ON event (room, origin_server_ts) WHERE position IS NOT NULL;

-- The exact bytes, as they were signed (never pruned: the pruned form is made where redacted_by says so).
CREATE TABLE event_json (
    id   bigint PRIMARY KEY,
    json bytea NOT NULL
);
ALTER TABLE event_json ALTER COLUMN json SET STORAGE EXTERNAL;

-- Backward extremities: events that are referred to and not known.
CREATE TABLE missing_event (
    room     bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    child    bigint NOT NULL,                      -- the event that names it
    PRIMARY KEY (room, event_id, child)
);

-- Redactions whose target was not known when they came.
CREATE TABLE pending_redaction (
    target_event_id text COLLATE "C" NOT NULL,
    redaction       bigint NOT NULL,
    PRIMARY KEY (target_event_id, redaction)
);

-- Packed (type, state key, event) triples sorted by type and state key, little-endian 4 + 4 + 8 bytes each; a delta
-- over parent when parent is not NULL.
CREATE TABLE state (
    id      bigint PRIMARY KEY,
    parent  bigint,
    hops    smallint NOT NULL,                     -- how many deltas down to a full copy
    entries bytea NOT NULL
);
ALTER TABLE state ALTER COLUMN entries SET STORAGE EXTERNAL;

CREATE TABLE current_state (
    room      bigint NOT NULL,
    type      bigint NOT NULL,
    state_key bigint NOT NULL,
    event     bigint NOT NULL,
    position  bigint NOT NULL,                     -- when it became current
    PRIMARY KEY (room, type, state_key)
);

-- The current membership of each user that any room has heard of.
CREATE TABLE member (
    room       bigint NOT NULL,
    user_id    bigint NOT NULL,                    -- sym
    membership text NOT NULL,                      -- join, invite, leave, ban, knock
    local      boolean NOT NULL,                   -- a user of this server
    event      bigint NOT NULL,
    sender     bigint NOT NULL,
    position   bigint NOT NULL,                    -- when it became so
    forgotten  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (room, user_id)
);
CREATE INDEX member_user ON member (user_id, membership);
CREATE INDEX member_room_local ON member (room) WHERE local;
CREATE INDEX member_position ON member (position);

-- Every membership a local user ever had, in order: what sync needs to bound a user's view.
CREATE TABLE member_history (
    user_id    bigint NOT NULL,
    position   bigint NOT NULL,
    room       bigint NOT NULL,
    membership text NOT NULL,
    event      bigint NOT NULL,
    PRIMARY KEY (user_id, position)
);
CREATE INDEX member_history_room ON member_history (user_id, room, position);

-- Servers with joined members, and how many.
CREATE TABLE room_server (
    room   bigint NOT NULL,
    server bigint NOT NULL,
    joined integer NOT NULL,
    PRIMARY KEY (room, server)
);
CREATE INDEX room_server_server ON room_server (server, room);

-- Invites and knocks to rooms that this node is not in: the stripped state it was told, and the member event's exact bytes.
CREATE TABLE outside_membership (
    user_id    bigint NOT NULL,
    room       bigint NOT NULL,
    membership text NOT NULL,                      -- invite, knock, leave (once gone)
    event_id   text COLLATE "C" NOT NULL,
    event      bytea NOT NULL,
    stripped   bytea NOT NULL,                     -- a JSON array of stripped state events
    version    text NOT NULL,
    position   bigint NOT NULL,
    PRIMARY KEY (user_id, room)
);

-- Answers to idempotent sends: (user, device, transaction id, what was called) -> event id.
CREATE TABLE client_transaction (
    user_id   bigint NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    scope     text COLLATE "C" NOT NULL,           -- method and room, or the to-device type
    txn_id    text COLLATE "C" NOT NULL,
    event_id  text,
    event     bigint,
    ts        bigint NOT NULL,
    PRIMARY KEY (user_id, device_id, scope, txn_id)
);
CREATE INDEX client_transaction_event ON client_transaction (event);

CREATE TABLE room_alias (
    alias   text COLLATE "C" PRIMARY KEY,
    room    bigint NOT NULL,
    creator text NOT NULL
);
CREATE INDEX room_alias_room ON room_alias (room);
