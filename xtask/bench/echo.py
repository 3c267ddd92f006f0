"""Python's echo servers: `echo.py SERVER`, as `bench serve SERVER`."""

import asyncio
import os
import resource
import sys
import threading

BLOCK = 64 * 1024


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def echo(reader, writer):
    while data := await reader.read(BLOCK):
        writer.write(data)
        await writer.drain()
    writer.close()


async def echo_lines(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def main(server):
    loop = asyncio.get_running_loop()
    if server.endswith("protocol"):
        listening = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
    else:
        handler = echo_lines if server.endswith("lines") else echo
        listening = await asyncio.start_server(handler, "127.0.0.1", 0, backlog=4096)
    print("port", listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


def end_with_input():
    sys.stdin.buffer.read(1)
    os._exit(0)


most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
server = sys.argv[1]
threading.Thread(target=end_with_input, daemon=True).start()
if server.startswith("uvloop"):
    import uvloop

    uvloop.run(main(server))
else:
    asyncio.run(main(server))
