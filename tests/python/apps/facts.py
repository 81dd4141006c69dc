"""What the examples have more in the tests: a page that tells what their process holds."""

from __future__ import annotations

import os
import threading

import millstream

MESSAGES = [{"role": "user", "content": "silent"}]


def facts() -> dict[str, int]:
    """Streams of the upstream, descriptors and threads, whoever made them."""
    return {
        "streams": millstream.metrics()["streams_open"],
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "python threads": threading.active_count(),
    }
