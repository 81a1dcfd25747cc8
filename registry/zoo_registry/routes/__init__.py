"""Routes, one subject a file: parse → call → answer. No SQL, no paths.

A module with a `router` is served by being here.
"""
