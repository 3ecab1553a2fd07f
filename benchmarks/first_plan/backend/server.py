"""Takes a picture by POST, keeps it as a row, and says its number; GET /ID tells its state."""

import http.server
import sqlite3


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with sqlite3.connect("tasks.db") as database:
            row = database.execute("SELECT state FROM task WHERE id = ?", (self.path.strip("/") or 0,)).fetchone()
        self._answer(row[0] if row else "alive")

    def do_POST(self) -> None:
        picture = self.rfile.read(int(self.headers["Content-Length"]))
        with sqlite3.connect("tasks.db") as database:
            task = database.execute("INSERT INTO task (state, picture) VALUES ('queued', ?)", (picture,)).lastrowid
        self._answer(str(task))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    with sqlite3.connect("tasks.db") as prepared:
        prepared.execute("CREATE TABLE IF NOT EXISTS task (id INTEGER PRIMARY KEY, state TEXT, picture BLOB)")
    http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
