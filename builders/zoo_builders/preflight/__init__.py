"""What each technique can do to each layer, and what it is worth, before anything is trained."""
