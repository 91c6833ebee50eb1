-- The words of messages, names and topics that are not encrypted, filled in the write of the event.
CREATE TABLE event_search (
    event bigint NOT NULL,                           -- event number
    room  bigint NOT NULL,
    key   text NOT NULL,                             -- content.body, content.name, content.topic
    words tsvector NOT NULL,
    PRIMARY KEY (event, key)
);
CREATE INDEX event_search_words ON event_search USING gin (words);

-- Words go with the redaction, in its own transaction.
CREATE FUNCTION forget_words () RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM event_search WHERE event = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER event_redacted AFTER UPDATE OF redacted_by ON event
    FOR EACH ROW WHEN (NEW.redacted_by IS NOT NULL) EXECUTE FUNCTION forget_words ();
