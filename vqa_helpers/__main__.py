"""`python -m vqa_helpers` is `vqa`."""

import sys

from vqa_helpers.cli import main

sys.exit(main())
