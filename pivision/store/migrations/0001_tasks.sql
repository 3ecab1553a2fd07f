-- The first schema. Applied in one transaction; PRAGMA user_version then says 1.

CREATE TABLE task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, not even after a task was removed
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'quarantined', 'cancelled')),
    operations TEXT NOT NULL CHECK (json_valid(operations)),
    source TEXT,

    image_sha256 TEXT NOT NULL CHECK (length(image_sha256) = 64),
    image_format TEXT NOT NULL CHECK (image_format IN ('jpeg', 'png', 'webp', 'bmp')),
    image_width_px INTEGER NOT NULL CHECK (image_width_px > 0),
    image_height_px INTEGER NOT NULL CHECK (image_height_px > 0),
    image_size_bytes INTEGER NOT NULL CHECK (image_size_bytes > 0),

    attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    worker INTEGER,
    result TEXT CHECK (result IS NULL OR json_valid(result)),
    error_code TEXT,
    error_detail TEXT,

    idempotency_key TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    finished_running_seconds INTEGER,  -- by appliance_clock; what retention goes by, since finished_at may be wrong

    -- What the state promises, so that no statement can break it:
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK (state != 'running' OR attempt > 0),
    CHECK (state != 'done' OR result IS NOT NULL),
    CHECK (state NOT IN ('queued', 'running') OR (result IS NULL AND error_code IS NULL)),
    CHECK ((state IN ('failed', 'quarantined')) = (error_code IS NOT NULL)),
    CHECK ((error_code IS NULL) = (error_detail IS NULL)),
    CHECK ((state IN ('queued', 'running')) = (finished_running_seconds IS NULL)),
    CHECK ((finished_at IS NULL) = (finished_running_seconds IS NULL))
) STRICT;

-- The queue, which is the part with state = 'queued', and lists and counts by state. A partial index for the queue alone
-- would be one page more to write in every commit, and the planner prefers this one anyway.
CREATE INDEX task_by_state ON task (state, id);

-- Retention takes the longest finished first.
CREATE INDEX task_by_end ON task (finished_running_seconds) WHERE finished_running_seconds IS NOT NULL;

-- Whether an image is still needed.
CREATE INDEX task_by_image ON task (image_sha256);

-- One task for one key, whatever a client repeats.
CREATE UNIQUE INDEX task_by_idempotency_key ON task (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- How long the appliance has been running, all boots together: a clock that nobody can set and that a Pi without a
-- battery keeps. Advanced by the differences of CLOCK_BOOTTIME within one boot.
CREATE TABLE appliance_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    boot_id TEXT NOT NULL,
    boottime_seconds INTEGER NOT NULL,
    running_seconds INTEGER NOT NULL CHECK (running_seconds >= 0)
) STRICT;

INSERT INTO appliance_clock VALUES (1, '', 0, 0);
