"""The HTTP API: Falcon resources that parse, call the store and answer. docs/api.md describes it for its users."""
