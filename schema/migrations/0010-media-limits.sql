-- What the store is asked before it takes more: how much a user has uploaded, how much room thumbnails take.
CREATE INDEX media_uploader ON media (uploader) INCLUDE (length) WHERE sha256 IS NOT NULL;

ALTER TABLE media_thumbnail
    ADD COLUMN length  bigint NOT NULL DEFAULT 0,
    ADD COLUMN made_ts bigint NOT NULL DEFAULT 0;
CREATE INDEX media_thumbnail_made ON media_thumbnail (made_ts) WHERE length > 0;
