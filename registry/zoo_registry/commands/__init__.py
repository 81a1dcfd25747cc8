"""Verbs of the `zoo` command that belong to the server, one verb or family a file.

The command loads each when it is used.
"""
