"""``python -m vision_evals``: the command ``evals``."""

from vision_evals.cli import main

raise SystemExit(main())
