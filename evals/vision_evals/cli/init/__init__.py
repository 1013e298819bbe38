"""``evals init``: look at a network and its images, write a gate for it, and run it once."""
