"""A queue with several getters and putters: first come, first served, and a cancelled one leaves its place."""

import asyncio


async def main(log):
    queue = asyncio.Queue(1)

    async def getter(name):
        log(f"{name} waits")
        try:
            item = await queue.get()
        except asyncio.CancelledError:
            log(f"{name} gives up")
            raise
        log(f"{name} got {item}")
        queue.task_done()

    async def putter(item):
        log(f"{item} waits")
        try:
            await queue.put(item)
        except asyncio.CancelledError:
            log(f"{item} gives up")
            raise
        log(f"{item} is in")

    async def ticks(count=5):
        for _ in range(count):
            await asyncio.sleep(0)

    # Getters that wait, one of which leaves.
    getters = [asyncio.create_task(getter(f"getter {n}")) for n in range(4)]
    await ticks()
    getters[1].cancel()
    await ticks()
    for item in "xyz":
        log(f"main puts {item}")
        await queue.put(item)
    await ticks()
    log(f"size: {queue.qsize()}")

    # Putters that wait, one of which leaves.
    log("main puts 0")
    queue.put_nowait("0")
    putters = [asyncio.create_task(putter(f"item {n}")) for n in range(4)]
    await ticks()
    putters[2].cancel()
    await ticks()
    log(f"full: {queue.full()}")
    while not queue.empty():
        log(f"main got {queue.get_nowait()}")
        queue.task_done()
        await ticks()

    # Both at once: each item goes through the one place.
    tasks = [asyncio.create_task(getter(f"getter {n}")) for n in range(3)]
    tasks += [asyncio.create_task(putter(f"item {n}")) for n in range(3)]
    await asyncio.wait(tasks)
    log(f"empty: {queue.empty()}")

    # Who joins goes on when the last one is done.
    async def joins(name):
        await queue.join()
        log(f"{name} has joined")

    await queue.put("last")
    joiners = [asyncio.create_task(joins(name)) for name in ("first", "second")]
    await ticks()
    log(f"main got {queue.get_nowait()}")
    queue.task_done()
    log("main has done it")
    await asyncio.wait(joiners)
    log("main ends")
