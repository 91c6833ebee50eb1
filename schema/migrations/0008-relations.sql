-- What relates to what (client-server, "Forming relationships between events"), filled in the write of the child.
CREATE TABLE event_relation (
    child    bigint PRIMARY KEY,                     -- event number
    room     bigint NOT NULL,
    parent   text COLLATE "C" NOT NULL,              -- event id; may be unknown here
    rel_type text COLLATE "C" NOT NULL,
    key      text                                    -- of an annotation
);
CREATE INDEX event_relation_parent ON event_relation (room, parent, rel_type, child);
