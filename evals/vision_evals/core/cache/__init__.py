"""Results of earlier runs on disk: found by a key of their inputs, checked before use."""
