"""Learning: synthetic people, data, losses, training."""
