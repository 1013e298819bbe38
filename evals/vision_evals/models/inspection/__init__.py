"""What a file of weights is, whether it could run code, and to which network it belongs."""
