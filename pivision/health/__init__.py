"""Health: polls the server and every worker's heartbeat, and heals. docs/healing.md is the whole ladder on one page.

Standard library only, and nothing of the package but what is so itself: what watches over the others must be the
smallest and the last to fail.
"""
