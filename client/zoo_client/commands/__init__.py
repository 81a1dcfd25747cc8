"""The client's verbs: one verb or family a file."""
