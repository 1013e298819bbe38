"""A run for other programs: JUnit, Markdown, GitHub, MLflow. Reads the log only."""
