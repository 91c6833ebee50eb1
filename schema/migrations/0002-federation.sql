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

-- Where each destination stands. A row appears with its first acknowledgement or failure.
CREATE TABLE destination (
    server       text COLLATE "C" PRIMARY KEY,
    sent         bigint NOT NULL DEFAULT 0,        -- all events addressed to it up to this position are acknowledged
    retry_at     bigint NOT NULL DEFAULT 0,        -- ms since 1970; 0: healthy
    retry_after  bigint NOT NULL DEFAULT 0         -- the current back-off, ms
);

-- A set of servers that events were addressed to, named by its hash: rooms with the same members' servers share one.
CREATE TABLE audience (
    id      bytea PRIMARY KEY,
    servers text[] COLLATE "C" NOT NULL            -- sorted
);
CREATE INDEX audience_server ON audience USING gin (servers);

-- Which event went to whom: one narrow row an event, however many servers it goes to.
CREATE TABLE destination_event (
    position bigint PRIMARY KEY,
    audience bytea NOT NULL REFERENCES audience,
    event    bigint NOT NULL
);
CREATE INDEX destination_event_audience ON destination_event (audience, position);

-- EDUs that must arrive; gone when acknowledged.
CREATE TABLE destination_edu (
    server text COLLATE "C" NOT NULL,
    id     bigint GENERATED ALWAYS AS IDENTITY,
    edu    bytea NOT NULL,
    PRIMARY KEY (server, id)
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
