-- Rows may come from elsewhere, in a backup or a file that was put here: what becomes a path or is counted with is bound.
-- Tasks that were ended by their deadline wait behind the others.
-- Applied in one transaction; PRAGMA user_version then says 4. No row is rewritten.

-- No PiVision has written such rows. The same conditions as below, which each row must meet before they can be added.
DELETE FROM task WHERE NOT (
    length(CAST(image_sha256 AS BLOB)) = 64 AND image_sha256 NOT GLOB '*[^0-9a-f]*'
    AND (
        drawing_sha256 IS NULL
        OR (length(CAST(drawing_sha256 AS BLOB)) = 64 AND drawing_sha256 NOT GLOB '*[^0-9a-f]*')
    )
    AND id BETWEEN 1 AND 4503599627370496
    AND image_size_bytes <= 1073741824
    AND image_width_px <= 4294967296 AND image_height_px <= 4294967296
    AND attempt <= 1000000
    AND (finished_running_seconds IS NULL OR finished_running_seconds BETWEEN 0 AND 1099511627776)
);

-- How often its deadline has ended this task since somebody has asked for it. The checks of other columns stand here,
-- because SQLite adds none to a table without a column. length() counts to the first zero byte, so it is told of bytes.
ALTER TABLE task ADD COLUMN overruns INTEGER NOT NULL DEFAULT 0 CHECK (overruns BETWEEN 0 AND 1000000)
    CHECK (length(CAST(image_sha256 AS BLOB)) = 64 AND image_sha256 NOT GLOB '*[^0-9a-f]*')
    CHECK (
        drawing_sha256 IS NULL
        OR (length(CAST(drawing_sha256 AS BLOB)) = 64 AND drawing_sha256 NOT GLOB '*[^0-9a-f]*')
    )
    CHECK (id BETWEEN 1 AND 4503599627370496)  -- so that JSON's readers can tell the next ones apart, too
    CHECK (image_size_bytes <= 1073741824)  -- the most that max_upload_bytes may be
    CHECK (image_width_px <= 4294967296 AND image_height_px <= 4294967296)
    CHECK (attempt <= 1000000)
    CHECK (finished_running_seconds IS NULL OR finished_running_seconds BETWEEN 0 AND 1099511627776);

-- Null, or at least the last id that had been given when this task was put behind the others: those up to it go first.
ALTER TABLE task ADD COLUMN behind_id INTEGER CHECK (behind_id IS NULL OR behind_id >= id);

-- Few wait so, and the others pay no page for it.
CREATE INDEX task_behind ON task (behind_id, id) WHERE state = 'queued' AND behind_id IS NOT NULL;
