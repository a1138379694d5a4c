"""Whether goods and surroundings were taken by one camera in one place: what is compared, and how it is judged."""
