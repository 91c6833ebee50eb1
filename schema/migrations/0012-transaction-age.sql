-- What is remembered of sends is forgotten by its age.
CREATE INDEX client_transaction_ts ON client_transaction (ts);
