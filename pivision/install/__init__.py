"""Installs PiVision as a service that starts at boot: `sudo python3 -m pivision install`, from a bare clone.

Standard library only, except prepare.py, which runs in the environment that venv.py makes. Each step looks first, says
what it does in one line, and is not taken when it is done already; so the same command repairs and updates, too.
"""
