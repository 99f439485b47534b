-- Schema 3: ACLs, consumers, containers, orders, quotas, transport keys.

-- When the ACL of a secret was made and changed; its users are in `secret_acl_users`. A table of its own: a column after
-- `secrets.sealed` would lie behind long envelopes.
CREATE TABLE secret_acls (
    secret  INTEGER PRIMARY KEY REFERENCES secrets (seq) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;

CREATE TABLE secret_consumers (
    seq           INTEGER PRIMARY KEY, -- in order of registration
    id            BLOB NOT NULL,       -- 16 bytes
    secret        INTEGER NOT NULL REFERENCES secrets (seq) ON DELETE CASCADE,
    project       INTEGER NOT NULL REFERENCES projects (id), -- whose quota it counts against
    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    service       TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id   TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX secret_consumers_once ON secret_consumers (secret, service, resource_type, resource_id);
CREATE INDEX secret_consumers_in_order ON secret_consumers (secret, seq);

CREATE TABLE containers (
    seq            INTEGER PRIMARY KEY, -- in order of commit
    id             BLOB NOT NULL,       -- 16 bytes
    project        INTEGER NOT NULL REFERENCES projects (id),
    creator        TEXT,
    created        INTEGER NOT NULL,
    updated        INTEGER NOT NULL,
    name           TEXT,
    container_type TEXT NOT NULL,
    project_access INTEGER NOT NULL,
    acl_created    INTEGER,             -- absent while it has no ACL
    acl_updated    INTEGER
) STRICT;
CREATE UNIQUE INDEX containers_by_id ON containers (id);
CREATE INDEX containers_in_order ON containers (project, seq);
CREATE INDEX containers_by_type ON containers (project, container_type, seq);
CREATE INDEX containers_by_name ON containers (project, name COLLATE NOCASE, seq);

CREATE TABLE container_acl_users (
    container INTEGER NOT NULL REFERENCES containers (seq) ON DELETE CASCADE,
    user      TEXT NOT NULL,
    PRIMARY KEY (container, user)
) STRICT, WITHOUT ROWID;

-- A deleted secret is in no container any more.
CREATE TABLE container_secrets (
    seq       INTEGER PRIMARY KEY, -- in order of adding
    container INTEGER NOT NULL REFERENCES containers (seq) ON DELETE CASCADE,
    secret    INTEGER NOT NULL REFERENCES secrets (seq) ON DELETE CASCADE,
    name      TEXT
) STRICT;
CREATE INDEX container_secrets_in_order ON container_secrets (container, seq);
CREATE INDEX container_secrets_by_secret ON container_secrets (secret);

CREATE TABLE container_consumers (
    seq       INTEGER PRIMARY KEY, -- in order of registration
    id        BLOB NOT NULL,       -- 16 bytes
    container INTEGER NOT NULL REFERENCES containers (seq) ON DELETE CASCADE,
    project   INTEGER NOT NULL REFERENCES projects (id), -- whose quota it counts against
    created   INTEGER NOT NULL,
    updated   INTEGER NOT NULL,
    name      TEXT NOT NULL,
    url       TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX container_consumers_once ON container_consumers (container, name, url);
CREATE INDEX container_consumers_in_order ON container_consumers (container, seq);

CREATE TABLE orders (
    seq        INTEGER PRIMARY KEY, -- in order of commit
    id         BLOB NOT NULL,       -- 16 bytes
    project    INTEGER NOT NULL REFERENCES projects (id),
    creator    TEXT,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    order_type TEXT NOT NULL,
    meta       TEXT NOT NULL,       -- as the front-end writes it; never a passphrase
    secret     BLOB,                -- what came of it: one of these two,
    container  BLOB,
    code       INTEGER,             -- or these two
    reason     TEXT,
    spent      INTEGER NOT NULL     -- whether it has nothing to show: it failed, or what came of it is gone
) STRICT;
CREATE UNIQUE INDEX orders_by_id ON orders (id);
CREATE INDEX orders_in_order ON orders (project, seq);
CREATE INDEX orders_by_secret ON orders (secret) WHERE secret IS NOT NULL;
CREATE INDEX orders_by_container ON orders (container) WHERE container IS NOT NULL;
CREATE INDEX orders_spent ON orders (updated) WHERE spent;

CREATE TRIGGER orders_spent_with_secret AFTER DELETE ON secrets BEGIN
    UPDATE orders SET spent = 1 WHERE secret = old.id;
END;
CREATE TRIGGER orders_spent_with_container AFTER DELETE ON containers BEGIN
    UPDATE orders SET spent = 1 WHERE container = old.id;
END;

-- What was said of a project's quotas; null is the default, and so is no row.
CREATE TABLE project_quotas (
    project    INTEGER PRIMARY KEY REFERENCES projects (id),
    secrets    INTEGER,
    orders     INTEGER,
    containers INTEGER,
    consumers  INTEGER,
    cas        INTEGER
) STRICT;

CREATE TABLE transport_keys (
    seq     INTEGER PRIMARY KEY,
    id      BLOB NOT NULL, -- 16 bytes
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    plugin  TEXT NOT NULL,
    key     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX transport_keys_by_id ON transport_keys (id);

-- What has expired, of all projects, for whoever takes it away.
CREATE INDEX secrets_expiring ON secrets (expiration) WHERE expiration IS NOT NULL;

-- Kept totals, as `totals` for secrets.
CREATE TABLE tallies (
    project INTEGER NOT NULL REFERENCES projects (id),
    kind    TEXT NOT NULL, -- the name of the table that is counted
    rows    INTEGER NOT NULL,
    PRIMARY KEY (project, kind)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER containers_up AFTER INSERT ON containers BEGIN
    INSERT INTO tallies (project, kind, rows) VALUES (new.project, 'containers', 1)
        ON CONFLICT DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER containers_down AFTER DELETE ON containers BEGIN
    UPDATE tallies SET rows = rows - 1 WHERE project = old.project AND kind = 'containers';
END;
CREATE TRIGGER orders_up AFTER INSERT ON orders BEGIN
    INSERT INTO tallies (project, kind, rows) VALUES (new.project, 'orders', 1)
        ON CONFLICT DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER orders_down AFTER DELETE ON orders BEGIN
    UPDATE tallies SET rows = rows - 1 WHERE project = old.project AND kind = 'orders';
END;
CREATE TRIGGER secret_consumers_up AFTER INSERT ON secret_consumers BEGIN
    INSERT INTO tallies (project, kind, rows) VALUES (new.project, 'secret_consumers', 1)
        ON CONFLICT DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER secret_consumers_down AFTER DELETE ON secret_consumers BEGIN
    UPDATE tallies SET rows = rows - 1 WHERE project = old.project AND kind = 'secret_consumers';
END;
CREATE TRIGGER container_consumers_up AFTER INSERT ON container_consumers BEGIN
    INSERT INTO tallies (project, kind, rows) VALUES (new.project, 'container_consumers', 1)
        ON CONFLICT DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER container_consumers_down AFTER DELETE ON container_consumers BEGIN
    UPDATE tallies SET rows = rows - 1 WHERE project = old.project AND kind = 'container_consumers';
END;
