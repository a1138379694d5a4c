"""What the model says about a picture."""
