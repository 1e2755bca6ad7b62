"""What a training run tells, on a terminal."""

from cnnatomy.runs.progress import reporter as reporter
