pytest_plugins = ["vision_evals.plugin"]
