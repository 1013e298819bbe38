"""What machines are told of a run: JUnit, Markdown, GitHub, MLflow. Reads the log only."""
