-- Whose database this is: one row, written by the first node that serves from it.
CREATE TABLE server_name (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    name text NOT NULL
);
