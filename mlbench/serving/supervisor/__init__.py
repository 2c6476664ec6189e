"""One process an environment: it owns the listening socket, and the workers that inherit it."""
