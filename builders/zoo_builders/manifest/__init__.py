"""YAML becomes one `Resolved`, or every mistake at once with its line."""
