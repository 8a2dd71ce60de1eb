-- What the detectors remember of a group (host), in small rows: a closing window writes only those it changed.
CREATE TABLE detect_memory (
    tenant_id INTEGER NOT NULL,
    grp       TEXT NOT NULL,
    part      INTEGER NOT NULL,        -- which detector's, see analyze/detect/memory.rs
    key       INTEGER NOT NULL,        -- a template, a session, a stream; 0 for the group as a whole
    state     BLOB NOT NULL,
    PRIMARY KEY (tenant_id, grp, part, key)
) WITHOUT ROWID;
