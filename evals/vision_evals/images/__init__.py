"""What networks are shown: image sets, decoding, geometry and label maps."""
