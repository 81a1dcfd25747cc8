"""Networks as data (`Graph`).

Those that ship, how they are looked up, and the rules that hold for their layers.
"""
