-- Schema 4.

-- The number of the newest change that was written down in the audit trail, and is here. The trail has the number of each
-- change, so that whoever finds one there that is not here knows that changes are gone.
ALTER TABLE store ADD COLUMN witnessed INTEGER NOT NULL DEFAULT 0;
