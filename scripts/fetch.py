"""Lists the data sets and where each stands, or gets some: python scripts/fetch.py dataset=scene,yeast."""

import sys

from mlbench.data.fetch import main

sys.exit(main())
