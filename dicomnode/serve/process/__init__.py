"""The processes of a node: what joins them, what they tell each other, and what follows when one ends."""
