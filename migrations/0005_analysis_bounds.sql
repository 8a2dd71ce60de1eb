-- Templates that were merged into others: what was noted under the old number is found under the new one.
CREATE TABLE template_alias (
    tenant_id INTEGER NOT NULL,
    id        INTEGER NOT NULL,        -- the template that is no more
    into_id   INTEGER NOT NULL,        -- the one it was merged into, which may have been merged since
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;

-- When a group's last window closed: groups silent for long are forgotten.
ALTER TABLE analysis_group ADD COLUMN closed_ns INTEGER NOT NULL DEFAULT 0;
UPDATE analysis_group SET closed_ns = COALESCE(
    (SELECT MAX(closed_ns) FROM window WHERE window.tenant_id = analysis_group.tenant_id AND grp = name), 0);
CREATE INDEX analysis_group_silent ON analysis_group (closed_ns);
CREATE INDEX analysis_group_last ON analysis_group (seq);
