"""The front page of an open gate: drop a picture, see what is said of it. Server-rendered, a small script."""
