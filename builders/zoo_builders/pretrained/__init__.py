"""Weights that were trained elsewhere: where they come from, their file formats and layouts."""
