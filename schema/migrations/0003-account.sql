-- Accounts of this server, their devices and tokens. Tokens are kept as hashes only.

CREATE TABLE account (
    user_id       text COLLATE "C" PRIMARY KEY,      -- @localpart:server
    sym           bigint NOT NULL UNIQUE,
    password_hash text,                              -- NULL: signs in elsewhere
    origin        text NOT NULL,                     -- local, ldap, appservice, guest, service: who vouches for it
    external_id   text COLLATE "C",                  -- of a directory: the entry's stable name
    admin         boolean NOT NULL DEFAULT false,
    state         text NOT NULL DEFAULT 'active',    -- active, locked, deactivated
    suspended     boolean NOT NULL DEFAULT false,
    erased        boolean NOT NULL DEFAULT false,
    created_ts    bigint NOT NULL,
    UNIQUE (origin, external_id)
);

CREATE TABLE profile (
    user_id text COLLATE "C" NOT NULL,
    key     text COLLATE "C" NOT NULL,               -- displayname, avatar_url, any other
    value   bytea NOT NULL,                          -- a JSON value
    PRIMARY KEY (user_id, key)
);

CREATE TABLE threepid (
    medium       text NOT NULL,
    address      text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    validated_ts bigint NOT NULL,
    added_ts     bigint NOT NULL,
    PRIMARY KEY (medium, address)
);
CREATE INDEX threepid_user ON threepid (user_id);

CREATE TABLE device (
    user_id         text COLLATE "C" NOT NULL,
    device_id       text COLLATE "C" NOT NULL,
    display_name    text,
    last_seen_ts    bigint,
    last_seen_ip    text,
    last_seen_agent text,
    created_ts      bigint NOT NULL,
    PRIMARY KEY (user_id, device_id)
);

CREATE TABLE access_token (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash        text COLLATE "C" NOT NULL UNIQUE,
    user_id     text COLLATE "C" NOT NULL,
    device_id   text COLLATE "C" NOT NULL,
    refresh     bigint,                              -- the refresh token it came with
    used        boolean NOT NULL DEFAULT false,      -- the first use ends the refresh token before that
    expires_ts  bigint,                              -- NULL: never
    created_ts  bigint NOT NULL
);
CREATE INDEX access_token_device ON access_token (user_id, device_id);
CREATE INDEX access_token_refresh ON access_token (refresh) WHERE refresh IS NOT NULL;

CREATE TABLE refresh_token (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash       text COLLATE "C" NOT NULL UNIQUE,
    user_id    text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    next       bigint,                               -- the token that replaced it; the old one works until the new one is used
    created_ts bigint NOT NULL
);
CREATE INDEX refresh_token_device ON refresh_token (user_id, device_id);
CREATE INDEX refresh_token_next ON refresh_token (next) WHERE next IS NOT NULL;

CREATE TABLE registration_nonce (
    nonce      text COLLATE "C" PRIMARY KEY,
    expires_ts bigint NOT NULL
);

CREATE TABLE filter (
    user_id text COLLATE "C" NOT NULL,
    id      bigint NOT NULL,
    filter  bytea NOT NULL,
    PRIMARY KEY (user_id, id)
);

CREATE TABLE openid_token (
    hash       text COLLATE "C" PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL,
    expires_ts bigint NOT NULL
);
CREATE INDEX openid_token_expires ON openid_token (expires_ts);

-- Single-use tokens with which a signed-in device signs in another one (m.login.token).
CREATE TABLE login_token (
    hash       text COLLATE "C" PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL,
    expires_ts bigint NOT NULL
);
