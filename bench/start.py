"""What an import and a client cost in a fresh process: start.py MODULE.

Prints one line of JSON. Imports nothing before the module that would make its import cheaper.
"""

import sys
import time

name = sys.argv[1]
begin = time.perf_counter()
module = __import__(name)
import_ms = (time.perf_counter() - begin) * 1e3

CLIENTS = {
    "millstream": lambda: module.Client(api_key="k"),
    "openai": lambda: module.OpenAI(api_key="k"),
    "anthropic": lambda: module.Anthropic(api_key="k"),
    "httpx": lambda: module.Client(),
    "niquests": lambda: module.Session(),
    "requests": lambda: module.Session(),
    "curl_cffi": lambda: module.requests.Session(),
}

CLIENTS_MADE = 20
made = [CLIENTS[name]()] if name in CLIENTS else []
samples = []
for _ in range(CLIENTS_MADE if name in CLIENTS else 0):
    begin = time.perf_counter()
    made.append(CLIENTS[name]())
    samples.append((time.perf_counter() - begin) * 1e6)
samples.sort()

import json  # noqa: E402 - see above

result = {"import_ms": import_ms}
if samples:
    result["client_us"] = samples[len(samples) // 2]
print(json.dumps(result))
