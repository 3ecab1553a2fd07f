"""The other end of the HTTP API, for any box: the commands that send pictures, list tasks and watch."""
