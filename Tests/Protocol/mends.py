"""Where QUIRKS.md says *mend*, Apus gives the better answer.

The recorded exchanges cannot show it: there such answers may be departed from. The number before each sentence is the
row of QUIRKS.md. Rows that the recordings hold Apus to all the same are not here.
"""

from __future__ import annotations

import common
import order  # noqa: F401  the tests, in the order in which they run
import access  # noqa: F401
import logins  # noqa: F401
import answers  # noqa: F401
import storage  # noqa: F401
import fields  # noqa: F401

if __name__ == "__main__":
    common.main(__doc__)
