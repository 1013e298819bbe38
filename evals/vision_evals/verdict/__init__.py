"""From measured rows to a verdict: thresholds, judging, gates against a baseline."""
