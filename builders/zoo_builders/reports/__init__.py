"""`docs/results.md` and its pictures, from the records of finished builds."""
