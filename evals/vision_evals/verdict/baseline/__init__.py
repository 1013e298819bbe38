"""Two runs held against each other, image by image. No torch."""
