-- Schema 1. `PRAGMA user_version` names the schema, `PRAGMA application_id` says that the file is ours; both are set
-- by the code that runs this, in the same transaction.
--
-- Times are microseconds since 1970, UTC. `sealed` is ciphertext; nothing here is plaintext of a payload or a key.

-- One row: what the store was made with.
CREATE TABLE store (
    id        BLOB NOT NULL,  -- 16 random bytes
    key_check BLOB            -- tells the right master key from a wrong one; absent until the first start is complete
) STRICT;

-- Where the audit trail stood when somebody last wrote it down; one row or none.
CREATE TABLE audit_anchor (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    hash   BLOB NOT NULL
) STRICT;

CREATE TABLE projects (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE -- as the identity service names it
) STRICT;

CREATE TABLE project_keys (
    project INTEGER NOT NULL REFERENCES projects (id),
    version INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (project, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    seq            INTEGER PRIMARY KEY, -- in order of commit
    id             BLOB NOT NULL,       -- 16 bytes
    project        INTEGER NOT NULL REFERENCES projects (id),
    creator        TEXT,
    created        INTEGER NOT NULL,
    updated        INTEGER NOT NULL,
    expiration     INTEGER,
    status         TEXT NOT NULL,
    secret_type    TEXT NOT NULL,
    name           TEXT,
    algorithm      TEXT,
    bit_length     INTEGER,
    mode           TEXT,
    project_access INTEGER NOT NULL,
    private        INTEGER NOT NULL,
    ephemeral      INTEGER NOT NULL,
    encoding       TEXT NOT NULL,
    description    TEXT,
    usage_type     TEXT,
    usage_id       TEXT,
    content_type   TEXT,                -- absent exactly while `sealed` is
    sealed         BLOB                 -- last: a long one is on pages of its own that a list never reads
) STRICT;

CREATE UNIQUE INDEX secrets_by_id ON secrets (id);
CREATE UNIQUE INDEX secrets_by_usage ON secrets (project, usage_type, usage_id)
    WHERE usage_type IS NOT NULL AND usage_id IS NOT NULL;

-- One index a sort key. Ties are in order of creation: `created`, then `seq`, which every index ends in.
CREATE INDEX secrets_by_created ON secrets (project, created);
CREATE INDEX secrets_by_updated ON secrets (project, updated, created);
-- With the type, so that what has expired is counted by type without reading rows.
CREATE INDEX secrets_by_expiration ON secrets (project, expiration, created, seq, secret_type);
CREATE INDEX secrets_by_status ON secrets (project, status, created);
CREATE INDEX secrets_by_secret_type ON secrets (project, secret_type, created);
CREATE INDEX secrets_by_name ON secrets (project, name, created);
CREATE INDEX secrets_by_algorithm ON secrets (project, algorithm, created);
CREATE INDEX secrets_by_bit_length ON secrets (project, bit_length, created);
CREATE INDEX secrets_by_mode ON secrets (project, mode, created);
-- The filter by name takes either case.
CREATE INDEX secrets_by_name_filter ON secrets (project, name COLLATE NOCASE, created);

-- Kept totals, so that nothing is counted when a list is asked for.
CREATE TABLE totals (
    project     INTEGER NOT NULL REFERENCES projects (id),
    secret_type TEXT NOT NULL,
    secrets     INTEGER NOT NULL,
    PRIMARY KEY (project, secret_type)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER totals_up AFTER INSERT ON secrets BEGIN
    INSERT INTO totals (project, secret_type, secrets) VALUES (new.project, new.secret_type, 1)
        ON CONFLICT DO UPDATE SET secrets = secrets + 1;
END;
CREATE TRIGGER totals_down AFTER DELETE ON secrets BEGIN
    UPDATE totals SET secrets = secrets - 1 WHERE project = old.project AND secret_type = old.secret_type;
END;

CREATE TABLE secret_metadata (
    secret INTEGER NOT NULL REFERENCES secrets (seq) ON DELETE CASCADE,
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (secret, key)
) STRICT, WITHOUT ROWID;

-- Who may read a secret besides its project.
CREATE TABLE secret_acl_users (
    user   TEXT NOT NULL,
    secret INTEGER NOT NULL REFERENCES secrets (seq) ON DELETE CASCADE,
    PRIMARY KEY (user, secret)
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_acl_users_by_secret ON secret_acl_users (secret);

-- The change log: written in the transaction of the change, kept to a bounded length.
CREATE TABLE changes (
    number  INTEGER PRIMARY KEY,
    secret  BLOB NOT NULL,
    project INTEGER NOT NULL REFERENCES projects (id),
    kind    TEXT NOT NULL,
    time    INTEGER NOT NULL
) STRICT;
