-- Alerts: one row per message and channel, written before it is sent.

CREATE TABLE delivery (
    id          TEXT PRIMARY KEY,
    tenant_id   INTEGER NOT NULL,
    incident_id TEXT,                  -- none for tests and digests
    revision    INTEGER NOT NULL,      -- the incident's, as told
    channel     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    severity    INTEGER NOT NULL,      -- rank, 0 info to 4 critical
    reopened    INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    state       TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    created_ns  INTEGER NOT NULL,
    next_ns     INTEGER NOT NULL,      -- when to try; while it is being sent, when to try again if nothing is heard
    updated_ns  INTEGER NOT NULL,
    answer      TEXT NOT NULL DEFAULT '',
    handle      TEXT,                  -- what the service calls the message
    folded_into TEXT,
    doc         TEXT NOT NULL,         -- JSON of the message, redacted
    UNIQUE (incident_id, channel, reason, revision)
);
CREATE INDEX delivery_waiting ON delivery (channel, next_ns) WHERE state IN ('queued', 'sending');
CREATE INDEX delivery_newest ON delivery (tenant_id, created_ns, id);
CREATE INDEX delivery_age ON delivery (updated_ns) WHERE state NOT IN ('queued', 'sending');

-- Positions of those that follow incidents by revision.
CREATE TABLE incident_cursor (
    name       TEXT PRIMARY KEY,
    revision   INTEGER NOT NULL,
    updated_ns INTEGER NOT NULL
) WITHOUT ROWID;
