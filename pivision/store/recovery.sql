-- What puts a database together from what is left of others. Each statement by its name, as in queries.sql.

-- name: begin
-- One transaction for all of it: a recovery that is interrupted leaves nothing that anybody would take for whole.
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: rows_after
-- By the key itself: an index may be what is damaged. The condition holds for each task, and in no other table.
SELECT * FROM task NOT INDEXED WHERE id > :id AND length(image_sha256) = 64 ORDER BY id LIMIT :limit;

-- name: ids_after
-- Without the texts, one of which cannot be read.
SELECT id FROM task NOT INDEXED WHERE id > :id ORDER BY id LIMIT :limit;

-- name: row
SELECT * FROM task WHERE id = :id AND length(image_sha256) = 64;

-- name: largest_id
SELECT coalesce((SELECT id FROM task NOT INDEXED WHERE length(image_sha256) = 64 ORDER BY id DESC LIMIT 1), 0);

-- name: last_id
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'task'), 0);

-- name: clock
SELECT boot_id, boottime_seconds, running_seconds FROM appliance_clock;

-- name: has
SELECT EXISTS (SELECT 1 FROM task WHERE id = :id);

-- name: insert_row
-- As it was. The table's own promises keep out what is damaged in a way that shows.
INSERT INTO task (
    id, state, operations, source, image_sha256, image_format, image_width_px, image_height_px, image_size_bytes, attempt,
    worker, result, error_code, error_detail, idempotency_key, created_at, started_at, finished_at,
    finished_running_seconds, lane
) VALUES (
    :id, :state, :operations, :source, :image_sha256, :image_format, :image_width_px, :image_height_px, :image_size_bytes,
    :attempt, :worker, :result, :error_code, :error_detail, :idempotency_key, :created_at, :started_at, :finished_at,
    :finished_running_seconds, :lane
);

-- name: set_last_id
-- An id that was given once is never given again, whether its task is found or not.
INSERT OR REPLACE INTO sqlite_sequence (rowid, name, seq) VALUES (
    (SELECT rowid FROM sqlite_sequence WHERE name = 'task'), 'task',
    max(:last_id, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'task'), 0))
);

-- name: set_clock
-- Never back: retention goes by it.
UPDATE appliance_clock SET boot_id = :boot_id, boottime_seconds = :boottime_seconds, running_seconds = :running_seconds
WHERE running_seconds < :running_seconds;

-- name: newest_change
SELECT coalesce(max(number), 0) FROM task_change;

-- name: renumber_changes
-- The changes were numbered anew. What was told before the recovery must not be taken for one of these numbers, even if
-- the newest that was given cannot be read: so they go on far behind it, and from there on nothing is missing.
INSERT INTO task_change (number, task_id) SELECT
    max(coalesce((SELECT max(number) FROM task_change), 0), :newest_change) + 1048576,
    coalesce((SELECT max(id) FROM task), 0);

-- name: forget_changes
DELETE FROM task_change WHERE number < (SELECT max(number) FROM task_change);

-- name: requeue_running
-- Nobody had the database open, so nobody works on them.
UPDATE task SET state = 'queued', worker = NULL, started_at = NULL WHERE state = 'running';

-- name: waiting
SELECT id, image_sha256 FROM task WHERE state = 'queued' ORDER BY id;

-- name: quarantine
-- For a person: nothing that a worker could do would bring the picture back.
UPDATE task SET state = 'quarantined', error_code = :code, error_detail = :detail, finished_at = :now,
    finished_running_seconds = (SELECT running_seconds FROM appliance_clock)
WHERE id = :id;

-- name: beyond
-- Ids that no PiVision gives: rows that are not even looked for.
SELECT count(*) FROM task WHERE id < 1 OR id > :largest_id;

-- name: sizes
SELECT DISTINCT image_sha256, image_size_bytes FROM task;

-- name: correct_size
-- The file knows how long it is.
UPDATE task SET image_size_bytes = :size_bytes WHERE image_sha256 = :sha256;

-- name: images
-- The pictures of the tasks, and what was drawn on them.
SELECT image_sha256 FROM task UNION SELECT drawing_sha256 FROM task WHERE drawing_sha256 IS NOT NULL;
