-- Every statement of the store, by name. A write takes the write lock when it begins, by itself or in `together`:
-- a transaction that reads first and writes later can fail with SQLITE_BUSY_SNAPSHOT however long it would wait.

-- name: begin
-- IMMEDIATE takes the write lock now, so that nothing in the block can find it taken.
BEGIN IMMEDIATE;

-- name: commit
-- The one flush of the disk for all of them.
COMMIT;

-- name: rollback
-- None of them.
ROLLBACK;

-- name: add
-- The client's task. The row is durable when this returns: the image was made durable before.
INSERT INTO task (
    state, operations, source, image_sha256, image_format, image_width_px, image_height_px, image_size_bytes,
    idempotency_key, created_at, lane
) VALUES (
    'queued', :operations, :source, :sha256, :format, :width_px, :height_px, :size_bytes, :idempotency_key, :now, :lane
)
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING *;

-- name: by_idempotency_key
SELECT * FROM task WHERE idempotency_key = :idempotency_key;

-- name: get
SELECT * FROM task WHERE id = :id;

-- name: list
-- Newest first; the cursor is the last id that the client has seen, so that new tasks do not shift the pages.
SELECT * FROM task WHERE id < :before
    AND (:operation IS NULL OR EXISTS (SELECT 1 FROM json_each(operations) WHERE value ->> 'name' = :operation))
ORDER BY id DESC LIMIT :limit;

-- name: list_by_state
-- Like list, by the index of the states.
SELECT * FROM task WHERE state = :state AND id < :before
    AND (:operation IS NULL OR EXISTS (SELECT 1 FROM json_each(operations) WHERE value ->> 'name' = :operation))
ORDER BY id DESC LIMIT :limit;

-- name: list_by_source
-- Like list, by the index of the sources, in one state or in any: + keeps the planner from the index of the states.
SELECT * FROM task WHERE source = :source AND id < :before AND (:state IS NULL OR +state = :state)
    AND (:operation IS NULL OR EXISTS (SELECT 1 FROM json_each(operations) WHERE value ->> 'name' = :operation))
ORDER BY id DESC LIMIT :limit;

-- name: change_numbers
SELECT coalesce(min(number) - 1, 0) AS oldest, coalesce(max(number), 0) AS newest FROM task_change;

-- name: changes_since
-- Each task once, by its last change. A task that is no more has no columns.
SELECT last.number, last.task_id, task.* FROM (
    SELECT task_id, max(number) AS number FROM task_change WHERE number > :number
    GROUP BY task_id ORDER BY number LIMIT :limit
) AS last LEFT JOIN task ON task.id = last.task_id
ORDER BY last.number;

-- name: counts
SELECT state, count(*) AS tasks FROM task GROUP BY state;

-- name: unfinished
-- By the index of the states: what waits is counted, however many have ended.
SELECT (SELECT count(*) FROM task WHERE state = 'queued') + (SELECT count(*) FROM task WHERE state = 'running') AS tasks;

-- name: ended_by_minute
-- By the appliance's clock, which goes on once a minute, and by the index of the ends.
SELECT ((SELECT running_seconds FROM appliance_clock) - finished_running_seconds) / 60 AS minutes_ago, count(*) AS tasks
FROM task WHERE finished_running_seconds > (SELECT running_seconds FROM appliance_clock) - 60 * :minutes
GROUP BY minutes_ago;

-- name: is_queue_empty
-- Asked before a claim, which would take the write lock even to find nothing.
SELECT NOT EXISTS (SELECT 1 FROM task WHERE state = 'queued') AS is_empty;

-- name: claim
-- The attempt is counted in the commit that gives the task away: whatever happens next, this attempt has been. Somebody
-- waits for live tasks, so they go first. That a waiting task has no end is said for their index: it then gives them by id.
-- Then by id; one that was put behind others goes when those up to its behind_id have gone. There are at most 100 of
-- these, so that the walks which pass them over stay short.
UPDATE task SET state = 'running', worker = :worker, attempt = attempt + 1, started_at = :now
WHERE id = coalesce(
    (
        SELECT id FROM task
        WHERE lane = 'live' AND state = 'queued' AND finished_running_seconds IS NULL AND behind_id IS NULL
        ORDER BY id LIMIT 1
    ),
    (
        SELECT id FROM (
            SELECT * FROM (
                SELECT id, id AS place, 0 AS is_behind FROM task WHERE state = 'queued' AND behind_id IS NULL
                ORDER BY id LIMIT 1
            )
            UNION ALL
            SELECT * FROM (
                SELECT id, behind_id AS place, 1 AS is_behind FROM task INDEXED BY task_behind
                WHERE state = 'queued' AND behind_id IS NOT NULL
                ORDER BY behind_id, id LIMIT 1
            )
        )
        ORDER BY place, is_behind LIMIT 1
    )
)
RETURNING *;

-- name: finish
-- Fenced: whoever was taken for dead and is not must not overwrite what its successor does.
UPDATE task SET state = 'done', worker = NULL, result = :result, finished_at = :now,
    finished_running_seconds = (SELECT running_seconds FROM appliance_clock)
WHERE id = :id AND state = 'running' AND worker = :worker AND attempt = :attempt
RETURNING id;

-- name: fail
-- Fenced like finish. The result keeps what each operation said.
UPDATE task SET state = 'failed', worker = NULL, result = :result, error_code = :code, error_detail = :detail,
    finished_at = :now, finished_running_seconds = (SELECT running_seconds FROM appliance_clock)
WHERE id = :id AND state = 'running' AND worker = :worker AND attempt = :attempt
RETURNING id;

-- name: hand_back
-- Fenced like finish. A worker that is asked to stop gives the attempt back, too.
UPDATE task SET state = 'queued', worker = NULL, attempt = attempt - 1, started_at = NULL
WHERE id = :id AND state = 'running' AND worker = :worker AND attempt = :attempt
RETURNING id;

-- name: defer
-- Fenced like finish. Given back like hand_back, but behind all that wait now: what keeps this task from being done may
-- pass by itself, and need not keep the others waiting.
UPDATE task SET state = 'queued', worker = NULL, attempt = attempt - 1, started_at = NULL,
    behind_id = max(
        (SELECT seq FROM sqlite_sequence WHERE name = 'task'),
        coalesce(
            (SELECT max(behind_id) + 1 FROM task INDEXED BY task_behind WHERE state = 'queued' AND behind_id IS NOT NULL), 0
        )
    )
WHERE id = :id AND state = 'running' AND worker = :worker AND attempt = :attempt
    AND (SELECT count(*) FROM task INDEXED BY task_behind WHERE state = 'queued' AND behind_id IS NOT NULL) < 100
RETURNING id;

-- name: previous
SELECT * FROM task WHERE source = :source AND id < :id ORDER BY id DESC LIMIT 1;

-- name: running
SELECT * FROM task WHERE state = 'running' ORDER BY id;

-- name: requeue
-- The worker of this attempt is dead, and attempts remain.
UPDATE task SET state = 'queued', worker = NULL, started_at = NULL
WHERE id = :id AND state = 'running' AND worker = :worker AND attempt = :attempt
RETURNING id;

-- name: requeue_overrun
-- The worker of this attempt was ended by the deadline of the task: one more try, once, behind all that wait now. None if
-- many wait so: then the box has more of them than it can do.
UPDATE task SET state = 'queued', worker = NULL, started_at = NULL, overruns = overruns + 1,
    behind_id = max(
        (SELECT seq FROM sqlite_sequence WHERE name = 'task'),
        coalesce(
            (SELECT max(behind_id) + 1 FROM task INDEXED BY task_behind WHERE state = 'queued' AND behind_id IS NOT NULL), 0
        )
    )
WHERE id = :id AND state = 'running' AND worker = :worker AND attempt = :attempt AND overruns = 0
    AND (SELECT count(*) FROM task INDEXED BY task_behind WHERE state = 'queued' AND behind_id IS NOT NULL) < 100
RETURNING id;

-- name: quarantine
-- The worker of this attempt is dead, and it was the last one.
UPDATE task SET state = 'quarantined', worker = NULL, error_code = :code, error_detail = :detail, finished_at = :now,
    finished_running_seconds = (SELECT running_seconds FROM appliance_clock)
WHERE id = :id AND state = 'running' AND worker = :worker AND attempt = :attempt
RETURNING id;

-- name: cancel
-- Only what no worker has: a task that runs is its worker's.
UPDATE task SET state = 'cancelled', finished_at = :now,
    finished_running_seconds = (SELECT running_seconds FROM appliance_clock)
WHERE id = :id AND state = 'queued'
RETURNING *;

-- name: retry
-- A person asks for it: the attempts start anew.
UPDATE task SET state = 'queued', attempt = 0, result = NULL, error_code = NULL, error_detail = NULL, started_at = NULL,
    finished_at = NULL, finished_running_seconds = NULL, overruns = 0, behind_id = NULL
WHERE id = :id AND state IN ('failed', 'quarantined', 'cancelled')
RETURNING *;

-- name: remove
-- A person asks for it; what waits or is at work has no end, and stays.
DELETE FROM task WHERE id = :id AND finished_running_seconds IS NOT NULL
RETURNING id, image_sha256, drawing_sha256;

-- name: tick
-- Within one boot the clock goes on by what CLOCK_BOOTTIME went on; a new boot adds what it has been up so far.
UPDATE appliance_clock SET
    running_seconds = running_seconds + CASE
        WHEN boot_id = :boot_id THEN max(0, :boottime_seconds - boottime_seconds) ELSE :boottime_seconds END,
    boot_id = :boot_id,
    boottime_seconds = :boottime_seconds
WHERE boot_id != :boot_id OR boottime_seconds < :boottime_seconds;

-- name: remove_expired
-- Quarantined tasks wait for a person, however long.
DELETE FROM task WHERE id IN (
    SELECT id FROM task
    WHERE finished_running_seconds <= (SELECT running_seconds FROM appliance_clock) - :max_age_seconds
        AND state != 'quarantined'
    ORDER BY finished_running_seconds, id LIMIT :limit
)
RETURNING id, image_sha256, drawing_sha256;

-- name: remove_live
-- Who waited for them has the answer. Quarantined ones wait for a person, as those of the batch do; the states are listed
-- and not excluded, for the index.
DELETE FROM task WHERE id IN (
    SELECT id FROM task
    WHERE lane = 'live' AND state IN ('done', 'failed', 'cancelled')
        AND finished_running_seconds <= (SELECT running_seconds FROM appliance_clock) - :kept_seconds
    LIMIT :limit
)
RETURNING id, image_sha256, drawing_sha256;

-- name: remove_oldest
-- The images are beyond their quota: what has been finished longest goes first, quarantined or not, but nothing that
-- waits, and not the last ones to finish: somebody may be about to read them. Each goes only if those before it, by what
-- their rows say, are not enough.
DELETE FROM task WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(image_size_bytes) OVER (ORDER BY finished_running_seconds, id) - image_size_bytes AS before_bytes
        FROM (
            SELECT id, image_size_bytes, finished_running_seconds FROM task WHERE finished_running_seconds IS NOT NULL
            AND id NOT IN (
                SELECT id FROM task WHERE finished_running_seconds IS NOT NULL
                ORDER BY finished_running_seconds DESC, id DESC LIMIT :kept
            )
            ORDER BY finished_running_seconds, id LIMIT :limit
        )
    )
    WHERE before_bytes < max(1, :excess_bytes)
)
RETURNING id, image_sha256, drawing_sha256;

-- name: is_image_referenced
-- As the picture of a task, or as what was drawn on one.
SELECT EXISTS (SELECT 1 FROM task WHERE image_sha256 = :sha256)
    OR EXISTS (SELECT 1 FROM task WHERE drawing_sha256 = :sha256) AS is_referenced;

-- name: fingerprint
-- Which of two copies is the newer one, and whether anything has happened between them. The counts take an index alone.
SELECT
    (SELECT running_seconds FROM appliance_clock) AS running_seconds,
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'task'), 0) AS last_id,
    (SELECT max(finished_running_seconds) FROM task WHERE finished_running_seconds IS NOT NULL) AS last_end_seconds,
    (SELECT group_concat(state || '=' || tasks) FROM (SELECT state, count(*) AS tasks FROM task GROUP BY state)) AS tasks;

-- name: counts_by_operation
-- A task counts for each operation that it has.
SELECT state, operation.value ->> '$.name' AS operation, count(*) AS tasks
FROM task, json_each(task.operations) AS operation GROUP BY 1, 2;

-- name: queue_ends
-- The task that waits longest, null if none does, and the last id that was given.
SELECT
    (SELECT id FROM task WHERE state = 'queued' ORDER BY id LIMIT 1) AS oldest_id,
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'task'), 0) AS last_id;

-- name: ended_since
-- A page of those that have ended by then or later, in the order of their ends.
SELECT id, attempt, finished_at, finished_running_seconds, result FROM task
WHERE finished_running_seconds IS NOT NULL AND (finished_running_seconds, id) > (:seconds, :id)
ORDER BY finished_running_seconds, id LIMIT :limit;
