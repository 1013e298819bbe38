"""Where the time goes: stages by the clock, and traces by torch's profiler."""
