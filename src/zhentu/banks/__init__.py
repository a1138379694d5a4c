"""Pictures that are known: bad, allowed, or a brand's own; found again by their bytes or their look."""
