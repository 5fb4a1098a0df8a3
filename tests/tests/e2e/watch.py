"""A dashboard in a few lines of another language: what it hears goes to stdout, one envelope a line.

Arguments: the hub's URL, its CA file, the file with the token, a channel pattern.
"""

import asyncio
import json
import ssl
import sys

import websockets


async def main(url, ca_file, token_file, pattern):
    tls = ssl.create_default_context(cafile=ca_file)
    with open(token_file, encoding="ascii") as file:
        token = file.read().strip()
    wishes = [
        {"request": "1", "hello": {"protocol": 1, "token": token, "agent": "watch.py"}},
        {"request": "2", "subscribe": {"pattern": pattern, "snapshot": True}},
    ]
    connection = websockets.connect(f"{url}/v1/ws", ssl=tls, subprotocols=["lamplighter.v1"])
    async with connection as socket:
        for wish in wishes:
            await socket.send(json.dumps(wish))
        async for message in socket:
            for line in message.splitlines():
                print(line, flush=True)


asyncio.run(main(*sys.argv[1:]))
