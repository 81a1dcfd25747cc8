"""Examples: sources, splits, preprocessing, and how a stage's result stores them."""
