"""Looks for a queued picture, decodes it, reads its codes, sets it done."""

import sqlite3
import time

import cv2
import numpy as np

if __name__ == "__main__":
    while True:
        with sqlite3.connect("tasks.db") as database:
            row = database.execute("SELECT id, picture FROM task WHERE state = 'queued' LIMIT 1").fetchone()
            if row:
                picture = cv2.imdecode(np.frombuffer(row[1], np.uint8), cv2.IMREAD_COLOR)
                assert picture is not None
                cv2.QRCodeDetector().detectAndDecode(picture)
                database.execute("UPDATE task SET state = 'done' WHERE id = ?", (row[0],))
        if not row:
            time.sleep(0.2)
