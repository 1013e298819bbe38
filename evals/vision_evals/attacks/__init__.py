"""Attacks: perturbations within a norm ball that change the predicted class."""
