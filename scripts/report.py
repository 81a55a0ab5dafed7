"""All finished runs as one page: python scripts/report.py paths.outputs=outputs. See --help."""

import sys

from mlbench.tables.report import main

sys.exit(main())
