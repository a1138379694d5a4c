"""The review page and its API: server-rendered, with a little JavaScript and no build step."""
