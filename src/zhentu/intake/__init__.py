"""From bytes to pixels, and what a file says about itself."""
