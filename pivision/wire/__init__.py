"""HTTP on a connection: what is read and sent, in which bounds, before and after the application.

waitress does the work; these are its parser, receiver and channel with the bounds that a box on an open network needs.
docs/security.md lists them.
"""
