"""What each technique can do to each layer, and what it will be worth, before anything is trained."""
