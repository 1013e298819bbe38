"""Validity checks: evidence that an evaluation can be trusted (Carlini et al. 2019 and others)."""
