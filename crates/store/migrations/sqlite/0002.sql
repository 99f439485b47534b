-- Schema 2: what the libvirt door needs.

-- What an event says of a secret that may be gone when it is told.
ALTER TABLE changes ADD COLUMN usage_type TEXT;
ALTER TABLE changes ADD COLUMN usage_id TEXT;

-- All that a list of handles shows, so that it reads no rows: they are ten times as long.
CREATE INDEX secrets_by_handle ON secrets (project, private, id, usage_type, usage_id, expiration);
