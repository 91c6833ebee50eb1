-- What is stored of each mxc:// URI, ours and other servers'. Files are named by their hash, so that equal ones are stored once.
CREATE TABLE media (
    server       text COLLATE "C" NOT NULL,
    media_id     text COLLATE "C" NOT NULL,
    content_type text,                               -- as declared; NULL: not at all
    file_name    text,
    length       bigint,
    sha256       text COLLATE "C",                   -- names the file in the store; NULL: reserved and not yet uploaded
    uploader     text COLLATE "C",                   -- NULL: a copy of what another server has
    created_ts   bigint NOT NULL,
    expires_ts   bigint,                             -- of a reserved id
    last_used_ts bigint NOT NULL,
    quarantined  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (server, media_id)
);
CREATE INDEX media_sha256 ON media (sha256);
CREATE INDEX media_reserved ON media (uploader) WHERE sha256 IS NULL;
CREATE INDEX media_remote_used ON media (last_used_ts) WHERE uploader IS NULL;

CREATE TABLE media_thumbnail (
    sha256       text COLLATE "C" NOT NULL,          -- of the original
    width        integer NOT NULL,
    height       integer NOT NULL,
    method       text NOT NULL,
    animated     boolean NOT NULL,
    content_type text,                               -- NULL: none can be made
    too_large    boolean NOT NULL DEFAULT false,     -- and this is why
    PRIMARY KEY (sha256, width, height, method, animated)
);
