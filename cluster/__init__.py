"""Where the work runs: connecting to Ray, resources, paths, preflight, mapping over items."""
