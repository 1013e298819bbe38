"""pytest for vision networks: declare in TOML what a pretrained CNN must do, and get verdicts."""

__version__ = "0.1.0"
