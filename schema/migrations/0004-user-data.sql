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

-- Unread counters: of events after the user's read receipt, those that notify and those that highlight. They are counted in
-- memory and written now and then, many at once; what came after unread_position is counted again at the next start.
CREATE TABLE unread (
    user_id       bigint NOT NULL,                   -- sym
    room          bigint NOT NULL,
    thread        bigint NOT NULL DEFAULT 0,         -- number of the thread's root event; 0: main timeline
    notifications bigint NOT NULL DEFAULT 0,
    highlights    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, room, thread)
);
CREATE INDEX unread_room ON unread (room);
CREATE TABLE unread_position (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL
);
INSERT INTO unread_position (position) VALUES (0);

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
    PRIMARY KEY (user_id, app_id, pushkey)
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
