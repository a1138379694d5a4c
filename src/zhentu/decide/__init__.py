"""What the policy decides about a verdict."""
