"""The examples with one more page: what their process holds, for the tests that ask it."""

from __future__ import annotations

import os
import threading

import millstream


def facts() -> dict[str, int]:
    """Streams of the upstream, descriptors and threads, whoever made them."""
    return {
        "streams": millstream.metrics()["streams_open"],
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "python threads": threading.active_count(),
    }
