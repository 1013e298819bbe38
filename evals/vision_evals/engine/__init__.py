"""A pass: one walk over an image set, from what is loaded to what is written."""
