-- Other servers.

CREATE TABLE server_key (
    server         text COLLATE "C" NOT NULL,
    key_id         text COLLATE "C" NOT NULL,
    public_key     text NOT NULL,
    valid_until_ts bigint NOT NULL,                -- as the document said, capped at seven days after it was fetched
    expired_ts     bigint,                         -- of an old_verify_keys entry
    fetched_ts     bigint NOT NULL,
    document       bytea,                          -- the signed document it stood in, for notaries
    PRIMARY KEY (server, key_id)
);

-- Where each destination stands. behind: the first position it was not yet told of, NULL when it has everything.
CREATE TABLE destination (
    server       text COLLATE "C" PRIMARY KEY,
    sent         bigint NOT NULL DEFAULT 0,        -- all events up to here are acknowledged
    wanted       bigint NOT NULL DEFAULT 0,        -- the newest event that concerns it
    receipts     bigint NOT NULL DEFAULT 0,        -- receipts up to this position are acknowledged
    retry_at     bigint NOT NULL DEFAULT 0,        -- ms since 1970; 0: healthy
    retry_after  bigint NOT NULL DEFAULT 0         -- the current back-off, ms
);

-- EDUs that must arrive.
CREATE TABLE destination_edu (
    server   text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    number   integer NOT NULL DEFAULT 0,
    edu      bytea NOT NULL,
    PRIMARY KEY (server, position, number)
);

-- Inbound transactions already answered: a repeat gets the same answer and is not processed again.
CREATE TABLE inbound_transaction (
    origin text COLLATE "C" NOT NULL,
    txn_id text COLLATE "C" NOT NULL,
    answer bytea NOT NULL,
    ts     bigint NOT NULL,
    PRIMARY KEY (origin, txn_id)
);
CREATE INDEX inbound_transaction_ts ON inbound_transaction (ts);

-- Events received whose turn has not come: accepted before they were judged, so that an acknowledged transaction survives a crash.
CREATE TABLE inbound_event (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin   text COLLATE "C" NOT NULL,
    room_id  text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    json     bytea NOT NULL,
    UNIQUE (event_id)
);
