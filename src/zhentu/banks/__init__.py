"""Known pictures (bad, allowed, or a brand's own), recognised by their bytes or their look."""
