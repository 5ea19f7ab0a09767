"""The command `recert`."""

import signal
import sys


def main() -> None:
    """Runs the command line of this process, and ends it."""
    # Until a run takes over Ctrl-C it ends the process, as it does any program.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from . import _recert

    sys.exit(_recert.main(sys.argv))
