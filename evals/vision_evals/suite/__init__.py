"""TOML becomes suites, checks and expectations; options. No torch here."""
