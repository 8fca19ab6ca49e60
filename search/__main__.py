"""`python -m search` is the `ecgsearch` command."""

import sys

from search.cli import main

sys.exit(main())
