"""``evals serve``: a folder of runs as pages, for this machine alone, and never written to."""
