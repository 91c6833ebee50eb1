-- The newest signed key document of each server, for notaries: once, however many keys it names.
CREATE TABLE server_key_document (
    server         text COLLATE "C" PRIMARY KEY,
    document       bytea NOT NULL,
    valid_until_ts bigint NOT NULL,                -- as that of its keys
    fetched_ts     bigint NOT NULL
);
INSERT INTO server_key_document (server, document, valid_until_ts, fetched_ts)
    SELECT DISTINCT ON (server) server, document, valid_until_ts, fetched_ts FROM server_key
    WHERE document IS NOT NULL ORDER BY server, fetched_ts DESC, valid_until_ts DESC;
ALTER TABLE server_key DROP COLUMN document;
