"""`python -m keyctl`, where another program is called keyctl too."""

import sys

from keyctl.cli.app import main

sys.exit(main())
