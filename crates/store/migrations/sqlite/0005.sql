-- Schema 5.

-- Where the audit trail of each node stood when it last wrote that down. Until now there was one node.
CREATE TABLE audit_anchors (
    node   TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    hash   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO audit_anchors (node, number, hash) SELECT 'only', number, hash FROM audit_anchor;
DROP TABLE audit_anchor;
