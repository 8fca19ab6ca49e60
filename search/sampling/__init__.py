"""Where the next candidate comes from."""
