"""Two networks on the same images: the paired difference, and what a gate decides by it."""
