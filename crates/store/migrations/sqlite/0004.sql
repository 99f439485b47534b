-- Schema 4.

-- The number of the newest change that was written down in the audit trail, and is here. The trail has the number of each
-- change, so that whoever finds one there that is not here knows that changes are gone.
ALTER TABLE store ADD COLUMN witnessed INTEGER NOT NULL DEFAULT 0;

-- Vouches for who may use a secret or a container (`seal/src/guard.rs` draws it). Rows of before get theirs when the server
-- first starts with the keys. In a new store `sealed` is put last again, see `create_schema`.
ALTER TABLE secrets ADD COLUMN guard BLOB;
ALTER TABLE containers ADD COLUMN guard BLOB;

-- Rows of the change log up to this number are gone; whoever follows it and has not seen them has a gap. The newest number
-- is the greater of this and the newest row's. One row.
CREATE TABLE changes_cut (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL
) STRICT;
INSERT INTO changes_cut (one, number) SELECT 1, coalesce(min(number) - 1, 0) FROM changes;

-- Earlier versions took the passphrase of a key pair by one of its two names, and kept what came under the other with the
-- order. Pages are overwritten (`secure_delete`), so it is gone from the file as well.
UPDATE orders SET meta = json_remove(meta, '$.pass_phrase')
    WHERE CASE WHEN json_valid(meta) THEN json_type(meta, '$.pass_phrase') IS NOT NULL ELSE 0 END;
