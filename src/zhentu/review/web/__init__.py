"""The people's page and its API: server-rendered, a little JavaScript, no build step."""
