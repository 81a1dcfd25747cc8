"""A headless browser as a place to measure."""
