"""What holds for every test, in each worker."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# A shell without job control has what it starts in the background ignore what the keyboard sends: so would all that is
# started here, and the tests of interruptions would wait in vain.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGQUIT, signal.SIGHUP):  # the second under nohup
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

# A test that is slow on a busy machine, or on its first run, is not wrong for that.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
