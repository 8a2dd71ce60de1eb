-- Incidents, and what people teach: normals, verdicts, maintenance windows.

-- Every write of a finding takes the next number: what has changed since is an index walk.
ALTER TABLE finding ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE finding ADD COLUMN incident_id TEXT;
ALTER TABLE finding ADD COLUMN muted INTEGER NOT NULL DEFAULT 0;   -- seen during maintenance only
UPDATE finding SET revision = rowid;
CREATE UNIQUE INDEX finding_revision ON finding (revision);
CREATE INDEX finding_incident ON finding (incident_id, first_ns) WHERE incident_id IS NOT NULL;

-- Positions of the engines that follow findings by revision; no position in the intake log, so apart from those.
CREATE TABLE finding_cursor (
    name       TEXT PRIMARY KEY,
    revision   INTEGER NOT NULL,
    updated_ns INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE incident (
    id          TEXT PRIMARY KEY,
    tenant_id   INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    severity    INTEGER NOT NULL,      -- rank, 0 info to 4 critical
    status      TEXT NOT NULL,
    title       TEXT NOT NULL,
    kind        TEXT,                  -- that of all its findings, if they have one in common
    first_ns    INTEGER NOT NULL,
    last_ns     INTEGER NOT NULL,
    active_ns   INTEGER NOT NULL,      -- when something last arrived for it
    closed_ns   INTEGER,
    created_ns  INTEGER NOT NULL,
    updated_ns  INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    findings    INTEGER NOT NULL,
    flapping    INTEGER NOT NULL DEFAULT 0,
    storm       INTEGER NOT NULL DEFAULT 0,
    muted       INTEGER NOT NULL DEFAULT 0,
    merged_into TEXT,
    note        TEXT,
    doc         TEXT NOT NULL          -- JSON of the remaining fields
);
CREATE INDEX incident_newest ON incident (tenant_id, last_ns, id);
CREATE INDEX incident_quiet ON incident (active_ns) WHERE status IN ('open', 'acknowledged');
CREATE UNIQUE INDEX incident_revision ON incident (revision);

-- What a finding may share with others: an address, an account on a host, a service on a host, a request id, its kind.
CREATE TABLE finding_key (
    tenant_id  INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    finding_id TEXT NOT NULL,
    story      TEXT NOT NULL,
    first_ns   INTEGER NOT NULL,
    last_ns    INTEGER NOT NULL,
    seen_ns    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, value, finding_id)
) WITHOUT ROWID;
CREATE INDEX finding_key_newest ON finding_key (tenant_id, kind, value, last_ns);
CREATE INDEX finding_key_age ON finding_key (seen_ns);

CREATE TABLE normal (
    id          TEXT PRIMARY KEY,
    tenant_id   INTEGER NOT NULL,
    finding_id  TEXT NOT NULL,
    severity    INTEGER NOT NULL,      -- nothing worse is hidden
    created_ns  INTEGER NOT NULL,
    expires_ns  INTEGER,
    hidden      INTEGER NOT NULL DEFAULT 0,
    last_hidden_ns INTEGER,
    doc         TEXT NOT NULL          -- JSON: selector, patterns, addresses, users, note
);
CREATE INDEX normal_tenant ON normal (tenant_id, created_ns);

-- What the last window of each group hid, so that a window written again does not count again.
CREATE TABLE normal_hit (
    normal_id TEXT NOT NULL REFERENCES normal (id) ON DELETE CASCADE,
    grp       TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    findings  INTEGER NOT NULL,
    PRIMARY KEY (normal_id, grp)
) WITHOUT ROWID;

CREATE TABLE maintenance (
    id         TEXT PRIMARY KEY,
    tenant_id  INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    from_ns    INTEGER NOT NULL,
    to_ns      INTEGER NOT NULL,
    doc        TEXT NOT NULL           -- JSON: selector, weekly, note
);
CREATE INDEX maintenance_tenant ON maintenance (tenant_id, to_ns);

-- What people said of the findings of detectors: one verdict per finding and detector.
CREATE TABLE feedback (
    id         TEXT PRIMARY KEY,
    tenant_id  INTEGER NOT NULL,
    grp        TEXT NOT NULL,
    detector   TEXT NOT NULL,
    subject    TEXT NOT NULL,
    finding_id TEXT NOT NULL,
    is_real    INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    UNIQUE (finding_id, detector, grp)
);
CREATE INDEX feedback_tenant ON feedback (tenant_id, created_ns);
