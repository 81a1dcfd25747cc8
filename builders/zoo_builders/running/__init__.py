"""A plan becomes bundles: the project's folders, processes, the stage cache, describing and publishing."""
