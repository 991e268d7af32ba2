"""What holds for every test, in each worker."""

from __future__ import annotations

import signal

# A shell without job control has what it starts in the background ignore Ctrl-C, signal(7): so would all that is
# started here, and the tests of interruptions would wait in vain.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
