-- Each change of a task has a number, so that whoever was away can ask for what has changed since.
-- Applied in one transaction; PRAGMA user_version then says 3. No row is rewritten.

-- The number of the last change of this task's state; 0: it was before there were numbers.
ALTER TABLE task ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

-- What has changed since. Partial, so that it holds nothing of what was there before.
CREATE INDEX task_by_revision ON task (revision) WHERE revision > 0;

-- newest: the last number given; it is kept here, so that none is given twice when the task that has it is removed.
-- oldest: from where on nothing is missing. It moves when the database is recovered, for the numbers are given anew then.
CREATE TABLE task_revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    oldest INTEGER NOT NULL CHECK (oldest >= 0),
    newest INTEGER NOT NULL CHECK (newest >= oldest)
) STRICT;

INSERT INTO task_revision VALUES (1, 0, 0);

-- Triggers, so that no statement can forget it. One writer at a time: numbers are seen in the order in which they are given.
CREATE TRIGGER task_added AFTER INSERT ON task BEGIN
    UPDATE task_revision SET newest = newest + 1;
    UPDATE task SET revision = (SELECT newest FROM task_revision) WHERE id = NEW.id;
END;

CREATE TRIGGER task_stepped AFTER UPDATE OF state ON task BEGIN
    UPDATE task_revision SET newest = newest + 1;
    UPDATE task SET revision = (SELECT newest FROM task_revision) WHERE id = NEW.id;
END;
