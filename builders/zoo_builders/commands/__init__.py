"""The verbs of the model engineer: one file each."""
