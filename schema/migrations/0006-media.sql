CREATE TABLE media (
    server       text COLLATE "C" NOT NULL,
    media_id     text COLLATE "C" NOT NULL,
    content_type text,
    file_name    text,
    length       bigint,                             -- NULL: created and not yet uploaded
    sha256       text COLLATE "C",                   -- names the file in the store
    uploader     text COLLATE "C",
    created_ts   bigint NOT NULL,
    expires_ts   bigint,                             -- of a reserved id
    last_used_ts bigint NOT NULL,
    quarantined  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (server, media_id)
);
CREATE INDEX media_sha256 ON media (sha256);
CREATE INDEX media_remote_used ON media (last_used_ts) WHERE uploader IS NULL;

CREATE TABLE media_thumbnail (
    sha256       text COLLATE "C" NOT NULL,          -- of the original
    width        integer NOT NULL,
    height       integer NOT NULL,
    method       text NOT NULL,
    animated     boolean NOT NULL,
    content_type text NOT NULL,
    length       bigint NOT NULL,
    PRIMARY KEY (sha256, width, height, method, animated)
);
