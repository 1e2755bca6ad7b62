"""`python -m cnnatomy`, the same as `cnnatomy`."""

from __future__ import annotations

import sys

from cnnatomy.cli import main

if __name__ == "__main__":
    sys.exit(main())
