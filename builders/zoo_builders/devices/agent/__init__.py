"""The measuring child and how it is spoken to, on this machine or on another."""
