"""`python -m benchmarks [NAME …]`: measure and print the tables; without names all of them."""

import argparse
import importlib
import time

from benchmarks import machine

NAMES = (
    *("queue", "http", "overhead", "throughput", "recovery", "memory", "boot"),
    *("operations", "networks", "readers", "warmth"),
    "web",
    "strangers",
)


def main() -> None:
    """Run the benchmarks one after the other: they would disturb each other at once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"of {', '.join(NAMES)}")
    names = parser.parse_args().names or NAMES
    began = time.monotonic()
    print(machine.describe(), flush=True)
    for name in names:
        importlib.import_module(f"benchmarks.{name}").main()
    print(f"{time.monotonic() - began:.0f} seconds in all.")


if __name__ == "__main__":
    main()
