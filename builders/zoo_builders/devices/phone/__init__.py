"""An Android phone as a place to measure."""
