"""What every room needs: errors, paths, TOML tables, random generators, the cache."""
