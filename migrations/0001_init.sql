-- The first layout. Times are nanoseconds since 1970 unless the name says otherwise.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE tenant (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE stream (
    id         INTEGER PRIMARY KEY,
    tenant_id  INTEGER NOT NULL REFERENCES tenant (id),
    labels     TEXT NOT NULL,          -- JSON object, sorted by name
    created_ns INTEGER NOT NULL,
    UNIQUE (tenant_id, labels)
);

-- One row per accepted push: the intake log, the queue of every engine, and the newest data for readers.
-- `payload` holds the entries of all streams of the push (see store/block.rs).
CREATE TABLE block (
    seq         INTEGER PRIMARY KEY,   -- given by the writer; AUTOINCREMENT would write one more page per commit
    tenant_id   INTEGER NOT NULL,
    received_ns INTEGER NOT NULL,
    min_ns      INTEGER NOT NULL,
    max_ns      INTEGER NOT NULL,
    entries     INTEGER NOT NULL,
    streams     INTEGER NOT NULL,      -- one bit per stream within (see store/block.rs), so that readers skip the others
    bytes       INTEGER NOT NULL,      -- line bytes before compression
    push_hash   BLOB NOT NULL,         -- 16 bytes, recognises a retried push
    payload     BLOB NOT NULL
);

-- Compacted data: the entries of one stream over a time range, sorted by time (see store/chunk.rs).
CREATE TABLE chunk (
    id        INTEGER PRIMARY KEY,
    stream_id INTEGER NOT NULL,
    min_ns    INTEGER NOT NULL,
    max_ns    INTEGER NOT NULL,
    entries   INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    payload   BLOB NOT NULL
);
CREATE INDEX chunk_stream ON chunk (stream_id, min_ns, max_ns, bytes);
CREATE INDEX chunk_age ON chunk (max_ns);

-- Positions of the engines that follow the intake log: every block up to `seq` is done.
CREATE TABLE position (
    name       TEXT PRIMARY KEY,
    seq        INTEGER NOT NULL,
    updated_ns INTEGER NOT NULL
) WITHOUT ROWID;

-- Analysis position and carried state of one group (host) of one tenant.
CREATE TABLE analysis_group (
    tenant_id INTEGER NOT NULL,
    name      TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    state     BLOB NOT NULL,
    PRIMARY KEY (tenant_id, name)
) WITHOUT ROWID;

CREATE TABLE window (
    id         INTEGER PRIMARY KEY,
    tenant_id  INTEGER NOT NULL,
    grp        TEXT NOT NULL,
    first_seq  INTEGER NOT NULL,
    from_ns    INTEGER NOT NULL,
    to_ns      INTEGER NOT NULL,
    closed_ns  INTEGER NOT NULL,
    lines      INTEGER NOT NULL,
    suspicious INTEGER NOT NULL,
    templates  INTEGER NOT NULL,
    state      TEXT NOT NULL,
    error      TEXT,
    model      TEXT,                   -- JSON of model::ModelUse
    attempts   INTEGER NOT NULL DEFAULT 0,
    due_ns     INTEGER NOT NULL DEFAULT 0,
    exhibit    BLOB,                   -- what the model is shown and what its references mean
    UNIQUE (tenant_id, grp, first_seq)
);
CREATE INDEX window_newest ON window (closed_ns);
CREATE INDEX window_pending ON window (due_ns) WHERE state = 'pending';

CREATE TABLE finding (
    id          TEXT PRIMARY KEY,
    tenant_id   INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    severity    INTEGER NOT NULL,      -- rank, 0 info to 4 critical
    category    TEXT NOT NULL,
    status      TEXT NOT NULL,
    title       TEXT NOT NULL,
    service     TEXT,
    first_ns    INTEGER NOT NULL,
    last_ns     INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    updated_ns  INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    note        TEXT,
    doc         TEXT NOT NULL          -- JSON of the remaining fields
);
CREATE INDEX finding_newest ON finding (tenant_id, last_ns, id);
CREATE INDEX finding_same ON finding (tenant_id, fingerprint, last_ns);

-- What each window added to a finding; writing it twice changes nothing, so a repeated window cannot count twice.
CREATE TABLE finding_part (
    finding_id TEXT NOT NULL REFERENCES finding (id) ON DELETE CASCADE,
    grp        TEXT NOT NULL,
    first_seq  INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    PRIMARY KEY (finding_id, grp, first_seq)
) WITHOUT ROWID;

CREATE TABLE template (
    id        INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL,
    text      TEXT NOT NULL,
    sample    TEXT NOT NULL,
    count     INTEGER NOT NULL,
    first_ns  INTEGER NOT NULL,
    last_ns   INTEGER NOT NULL,
    state     BLOB NOT NULL            -- what the miner needs to go on after a restart
);
CREATE INDEX template_frequent ON template (tenant_id, count, id);

-- One row per model call.
CREATE TABLE model_call (
    id            INTEGER PRIMARY KEY,
    at_ns         INTEGER NOT NULL,
    tenant_id     INTEGER NOT NULL,
    window_id     INTEGER,
    model         TEXT NOT NULL,
    tier          TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_micros   INTEGER,
    duration_ms   INTEGER NOT NULL
);
CREATE INDEX model_call_time ON model_call (at_ns);

-- Answers to digests already asked about.
CREATE TABLE model_answer (
    digest_hash BLOB PRIMARY KEY,      -- over provider, model, prompt version and digest
    answer      TEXT NOT NULL,
    at_ns       INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX model_answer_age ON model_answer (at_ns);
