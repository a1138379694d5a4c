"""People look, sellers answer, and what people decide makes the next model better."""
