"""PiVision: a computer-vision server that nobody has to visit."""

__version__ = "0.1.0"
