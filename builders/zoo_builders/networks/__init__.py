"""Networks as data (`Graph`): those that ship, how they are found, and rules for their layers."""
