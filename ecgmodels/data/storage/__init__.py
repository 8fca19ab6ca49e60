"""A dataset on disk: manifest, record table, shards; writing, opening, verifying."""
