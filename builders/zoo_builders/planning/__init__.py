"""A resolved manifest becomes stages with fingerprints. Pure but for reading source files."""
