"""Times mlbench beside what one would use instead: python scripts/bench.py suite=step. See --help."""

import sys

from mlbench.bench.command import main

sys.exit(main())
