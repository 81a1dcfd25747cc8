"""Networks as data (`Graph`): those that ship, how they are looked up, and the rules that hold for their layers."""
