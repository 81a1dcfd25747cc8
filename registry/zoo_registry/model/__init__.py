"""The shared words of the project: digest, ref, record, query, canonical bytes, files, errors.

Everything here is standard library and pydantic; only `files` touches the disk. All three packages
import it; it imports none of them.
"""
