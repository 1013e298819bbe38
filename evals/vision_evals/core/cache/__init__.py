"""What was computed before, on disk: found by what it depends on, checked before it is believed."""
