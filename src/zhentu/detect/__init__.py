"""What the model says of a picture."""
