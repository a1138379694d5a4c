"""People review, sellers appeal, and their decisions improve the next model."""
