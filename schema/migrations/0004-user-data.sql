-- What users keep and do beside events; every row that sync delivers carries the position of its last change.

CREATE TABLE account_data (
    user_id  text COLLATE "C" NOT NULL,
    room_id  text COLLATE "C" NOT NULL DEFAULT '',   -- '': global
    type     text COLLATE "C" NOT NULL,
    content  bytea NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (user_id, room_id, type)
);
CREATE INDEX account_data_position ON account_data (user_id, position);

CREATE TABLE receipt (
    room      bigint NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    type      text NOT NULL,                         -- m.read, m.read.private
    thread_id text COLLATE "C" NOT NULL DEFAULT '',  -- '': unthreaded
    event_id  text COLLATE "C" NOT NULL,
    event_position bigint,                           -- of the event, when it is known
    ts        bigint NOT NULL,
    data      bytea,                                 -- other members
    position  bigint NOT NULL,
    PRIMARY KEY (room, user_id, type, thread_id)
);
CREATE INDEX receipt_position ON receipt (room, position);

-- Unread counters: of events after the user's read receipt, those that notify and those that highlight.
CREATE TABLE unread (
    user_id       bigint NOT NULL,                   -- sym
    room          bigint NOT NULL,
    thread        bigint NOT NULL DEFAULT 0,         -- number of the thread's root event; 0: main timeline
    notifications integer NOT NULL DEFAULT 0,
    highlights    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, room, thread)
);

-- The events behind the counters: what GET /notifications shows and what a receipt subtracts.
CREATE TABLE notification (
    user_id   bigint NOT NULL,
    position  bigint NOT NULL,                       -- of the event
    room      bigint NOT NULL,
    event     bigint NOT NULL,
    thread    bigint NOT NULL DEFAULT 0,
    highlight boolean NOT NULL,
    actions   bytea NOT NULL,
    read      boolean NOT NULL DEFAULT false,
    ts        bigint NOT NULL,
    PRIMARY KEY (user_id, position)
);
CREATE INDEX notification_room ON notification (user_id, room, position) WHERE NOT read;

-- A user's own push rules and switches over the defaults, as one JSON document.
CREATE TABLE push_rules (
    user_id  text COLLATE "C" PRIMARY KEY,
    rules    bytea NOT NULL,
    position bigint NOT NULL
);

CREATE TABLE pusher (
    user_id   text COLLATE "C" NOT NULL,
    app_id    text COLLATE "C" NOT NULL,
    pushkey   text COLLATE "C" NOT NULL,
    token     bigint,                                -- the access token that set it
    pusher    bytea NOT NULL,
    sent      bigint NOT NULL DEFAULT 0,             -- position up to which it was told
    PRIMARY KEY (user_id, app_id, pushkey)
);

CREATE TABLE presence (
    user_id        text COLLATE "C" PRIMARY KEY,
    state          text NOT NULL,
    status_msg     text,
    last_active_ts bigint NOT NULL
);

CREATE TABLE event_report (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     text NOT NULL,                          -- event, room, user
    reporter text COLLATE "C" NOT NULL,
    room_id  text COLLATE "C",
    event_id text COLLATE "C",
    user_id  text COLLATE "C",
    reason   text,
    ts       bigint NOT NULL
);
