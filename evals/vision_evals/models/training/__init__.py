"""Training of the networks that recipes declare."""
