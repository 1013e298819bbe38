"""Which functions a network calls, whether through modules or directly, and where."""
