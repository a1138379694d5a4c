"""What the policy says of a verdict."""
