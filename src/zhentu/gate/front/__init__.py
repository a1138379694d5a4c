"""The front page of an open gate: drop a picture, see what zhentu says. Server-rendered, with a small script."""
