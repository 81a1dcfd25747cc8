"""LiteRT.js, which runs models in a browser: fetched, kept and served; `browser` is our own part.

Server, client and builders use it.
"""
