"""What people look at in a browser: files that the server sends as they are."""
