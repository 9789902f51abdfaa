"""What all tests need."""

import signal

# A shell starts what it runs in the background with interrupts ignored, and so would be all that is
# interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)
