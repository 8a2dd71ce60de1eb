-- What the model may be told beside the lines of a window.

-- The operator's notes: of the API, and files of the knowledge folder.
CREATE TABLE note (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- findings name notes: a number is never given twice
    tenant_id  INTEGER NOT NULL,                  -- 0 of every tenant (a file)
    file       TEXT UNIQUE,                       -- the file's name; NULL for a note of the API
    title      TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    updated_ns INTEGER NOT NULL
);
CREATE INDEX note_tenant ON note (tenant_id, id);

-- Notes in pieces that fit a question.
CREATE TABLE note_part (
    id      INTEGER PRIMARY KEY,
    note_id INTEGER NOT NULL REFERENCES note (id) ON DELETE CASCADE,
    heading TEXT NOT NULL,
    text    TEXT NOT NULL
);
CREATE INDEX note_part_note ON note_part (note_id);

-- The words of the pieces, by their number (see store/note.rs).
CREATE VIRTUAL TABLE note_words USING fts5 (title, heading, text, tokenize = 'porter unicode61 remove_diacritics 2');

-- In how many windows and on how many days a template was seen, and whether a finding ever spoke of it.
ALTER TABLE template ADD COLUMN windows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE template ADD COLUMN days INTEGER NOT NULL DEFAULT 0;
ALTER TABLE template ADD COLUMN last_day INTEGER NOT NULL DEFAULT 0; -- days since 1970, by the server's clock
ALTER TABLE template ADD COLUMN is_flagged INTEGER NOT NULL DEFAULT 0;
