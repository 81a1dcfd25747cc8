"""A benchmark session: protocol, session, verdicts, and what `zoo bench` shows."""
