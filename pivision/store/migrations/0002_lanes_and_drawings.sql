-- Live tasks go ahead of the batch, drawings are kept with their tasks, and each task finds the one before it.
-- Applied in one transaction; PRAGMA user_version then says 2. No row is rewritten.

-- live: somebody waits for the answer, now; batch: everything else.
ALTER TABLE task ADD COLUMN lane TEXT NOT NULL DEFAULT 'batch' CHECK (lane IN ('batch', 'live'));

-- The JPEG that the operation annotate has made: an image in the same folder, for as long as its task is there. Read out
-- of the result, so that it comes and goes with it. json_valid() comes first: ->> stops at a text that is none, and the
-- rows behind a damaged one must be readable.
ALTER TABLE task ADD COLUMN drawing_sha256 TEXT
    GENERATED ALWAYS AS (CASE WHEN json_valid(result) THEN result ->> '$.annotate.sha256' END) VIRTUAL
    CHECK (drawing_sha256 IS NULL OR length(drawing_sha256) = 64);

-- The live tasks alone, so that those of the batch pay no page for it: first those that wait (they have no end, and so
-- come by id), then those that have ended, by their end.
CREATE INDEX task_live ON task (state, finished_running_seconds) WHERE lane = 'live';

-- Whether a drawing is still needed.
CREATE INDEX task_by_drawing ON task (drawing_sha256) WHERE drawing_sha256 IS NOT NULL;

-- What was seen before at the same place.
CREATE INDEX task_by_source ON task (source, id) WHERE source IS NOT NULL;
