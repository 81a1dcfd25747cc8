"""The finished file as data: read, count, promise, compare, golden vectors."""
