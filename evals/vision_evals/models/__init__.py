"""Model cards into classifiers: published weights, packaged samples, files, the user's own."""
