"""Perturbations within a norm ball that change what a network says."""
