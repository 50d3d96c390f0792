"""`python -m feldsher`."""

import sys

from feldsher.main import main

sys.exit(main())
