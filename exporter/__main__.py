"""`python -m exporter`, the same program as `llama-exporter`."""

import sys

from exporter.cli import main

sys.exit(main())
