"""What each technique can do to each layer, and what it will be worth.

Before anything is trained.
"""
