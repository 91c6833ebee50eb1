-- How many EDUs wait for each destination, and since when it has taken none of them: a server that never comes back must
-- not fill the database. And whether it was quick to take what it took last: who was is served first.
ALTER TABLE destination
    ADD COLUMN edus       bigint NOT NULL DEFAULT 0,
    ADD COLUMN edu_bytes  bigint NOT NULL DEFAULT 0,
    ADD COLUMN edus_since bigint NOT NULL DEFAULT 0,  -- ms since 1970
    ADD COLUMN quick      boolean NOT NULL DEFAULT false;

INSERT INTO destination (server, edus, edu_bytes, edus_since)
    SELECT server, count (*), sum (octet_length (edu)), (extract (epoch FROM now ()) * 1000)::bigint
    FROM destination_edu GROUP BY server
    ON CONFLICT (server) DO UPDATE SET edus = excluded.edus, edu_bytes = excluded.edu_bytes, edus_since = excluded.edus_since;
