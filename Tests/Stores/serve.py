"""Runs an S3 store for other tests until it is ended, and writes what they need to know of it into a file: serve.py FILE"""

import signal
import sys
from pathlib import Path

from store import Store

store = Store()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
try:
    lines = f"export APUS_TEST_S3='{store.address()}' APUS_TEST_S3_KEYS='{store.access} {store.secret}'\n"
    Path(sys.argv[1]).write_text(lines)
    signal.pause()
finally:
    store.stop()
