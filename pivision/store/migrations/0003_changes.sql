-- Each change of a task leaves a line, so that whoever was away can ask for what has changed since.
-- Applied in one transaction; PRAGMA user_version then says 3. No row is rewritten.

-- A table of its own, which grows at its end: one page more in each commit. A number in the task's row would cost an index
-- and a counter, too, and could not tell of a task that was removed.
CREATE TABLE task_change (
    number INTEGER PRIMARY KEY,  -- counts the changes. The last line stays, so that none is given twice.
    task_id INTEGER NOT NULL
) STRICT;

-- Triggers, so that no statement can forget it. One writer at a time: numbers are seen in the order in which they are given.
CREATE TRIGGER task_added AFTER INSERT ON task BEGIN
    INSERT INTO task_change (task_id) VALUES (NEW.id);
END;

CREATE TRIGGER task_stepped AFTER UPDATE OF state ON task BEGIN
    INSERT INTO task_change (task_id) VALUES (NEW.id);
END;

CREATE TRIGGER task_removed AFTER DELETE ON task BEGIN
    INSERT INTO task_change (task_id) VALUES (OLD.id);
END;

-- Some thousands are kept; who has missed more reads the list anew. Now and then, since it is another page to write.
CREATE TRIGGER task_change_kept AFTER INSERT ON task_change WHEN NEW.number % 256 = 0 BEGIN
    DELETE FROM task_change WHERE number <= NEW.number - 4096;
END;
