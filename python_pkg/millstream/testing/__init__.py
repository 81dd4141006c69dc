"""Record what a model server really sent, and replay it: the same bytes in the same pieces.

::

    from millstream import testing

    with testing.record("hello.jsonl", upstream="https://api.openai.com/v1") as server:
        client = millstream.Client(base_url=server.base_url)      # the key goes on to upstream
        ...                                                       # asked, answered and written down

    with testing.replay("hello.jsonl") as server:                 # no network, no key
        client = millstream.Client(base_url=server.base_url, api_key="any")

Both are servers on a free port of 127.0.0.1, for any HTTP client. A cassette is a text file of JSON
lines, with when each piece of the answer came; keys, cookies and signatures are masked before
anything is written. docs/howto/testing.md says more. For answers that you write yourself, and for
faults: `millstream.mock`. pytest has the fixtures `cassette` and `millstream_mock` by itself.
"""

from __future__ import annotations

from ._cassette import CassetteError, Exchange, read
from ._record import Recorder, record
from ._replay import Player, replay

__all__ = ["CassetteError", "Exchange", "Player", "Recorder", "read", "record", "replay"]
