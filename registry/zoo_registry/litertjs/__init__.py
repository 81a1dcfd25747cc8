"""LiteRT.js, which runs models in a browser: fetched, kept and served; `browser` is our own part.

For the server, the client and the builders alike.
"""
