"""How fast and how small: measured side by side in one run, never asserted. `make bench` prints the tables."""
