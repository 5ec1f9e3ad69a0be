#!/usr/bin/python3
"""Loads a page of wakeful-trace and prints how long that takes: load.py PAGE [TIMES]. A line of JSON for each time.

Ends with 77 and a line if this machine has no Chromium or no module websockets.
"""

import asyncio
import json
import sys

try:
    import browser
except ImportError as error:
    print(f"SKIPPED: {error} (apt-get install python3-websockets)")
    sys.exit(77)


async def main(page):
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        loaded, drawn = await page.load_times(sys.argv[1])
        print(json.dumps({"loaded_ms": loaded, "drawn_ms": drawn}), flush=True)


if browser.program() is None:
    print("SKIPPED: no Chromium is installed (apt-get install chromium)")
    sys.exit(77)
asyncio.run(browser.run(main))
