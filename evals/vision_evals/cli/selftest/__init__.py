"""Mutation testing of the gate: a network broken on purpose, and which checks notice."""
