"""The bare operations: what the worker does with a picture, without the task around it, in a process of its own."""

import configparser
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool

from pivision import operations, picture
from pivision.config import ROOT

OPERATIONS = "codes,quality"


@contextmanager
def process() -> Iterator[Pool]:
    """One process for the bare operations, with the environment that conf/supervisord.conf gives the worker."""
    conf = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    conf.read(ROOT / "conf" / "supervisord.conf")
    mine = dict(os.environ)
    for pair in conf["program:worker"]["environment"].split(","):
        name, _, value = pair.strip().partition("=")
        os.environ[name] = value.strip('"')
    try:
        pool = multiprocessing.get_context("spawn").Pool(1)
    finally:
        os.environ.clear()
        os.environ.update(mine)
    with pool:
        yield pool


def seconds(images: list[bytes]) -> float:
    """How long it takes to decode these pictures and to run the operations on each, one after the other."""
    from pivision.vision import Vision, frame  # OpenCV belongs into that process alone
    from pivision.vision.scene import Scene

    calls, vision = operations.parse(OPERATIONS), Vision()
    began = time.perf_counter()
    for image in images:
        upright = frame.decode(image, picture.inspect(image).orientation)
        for call in calls:
            vision.run(call, Scene(upright, lambda: None, {}, lambda _: ""), None)
    return time.perf_counter() - began
