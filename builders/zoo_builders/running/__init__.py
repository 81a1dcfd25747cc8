"""A plan becomes bundles: folders, processes, the stage cache, describing and publishing."""
