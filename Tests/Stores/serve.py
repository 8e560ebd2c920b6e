"""Runs an S3 store for other tests until it is ended, and writes what they need to know of it into a file: serve.py FILE"""

import signal
import sys
from pathlib import Path

from store import Store

store = Store()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
try:
    Path(sys.argv[1]).write_text(f"STORE='{store.address()}' STORE_KEYS='{store.access} {store.secret}'\n")
    signal.pause()
finally:
    store.stop()
