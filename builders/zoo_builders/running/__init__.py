"""A plan becomes bundles.

The project's folders, processes, the stage cache, describing and publishing.
"""
