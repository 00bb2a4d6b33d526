"""TensorFlow without its start-up chatter, which would show in every notebook: `from hypernet_lib.quiet import tf`.

TensorFlow writes some of those lines straight to file descriptor 2 whatever its log level, so the descriptor is hushed
while it is imported and looks for devices. Errors are Python exceptions and still show.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

sys.stderr.flush()
_stderr = os.dup(2)
_nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 2)
try:
    import tensorflow as tf

    tf.config.list_physical_devices()
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)
    os.close(_nowhere)

__all__ = ["tf"]
