"""Timeouts inside each other, with cleanups that wait, and a deadline in the tick of the result."""

import asyncio


async def main(log):
    loop = asyncio.get_running_loop()

    async def work(name, delay, cleanup=0, refuses=False):
        log(f"{name} begins")
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            log(f"{name} cleans up")
            await asyncio.sleep(cleanup)
            log(f"{name} is clean at {loop.time() - start:g}")
            if not refuses:
                raise
        return name

    async def within(delay, body, says):
        try:
            async with asyncio.timeout(delay):
                value = await body
                log(f"{says} lets go on")
                return value
        except TimeoutError:
            log(f"{says} expires at {loop.time() - start:g}")
        finally:
            log(f"{says} ends")

    # The inner one first; then the outer one, through the inner one.
    start = loop.time()
    await within(3, within(1, work("a", 5), "inner"), "outer")
    start = loop.time()
    await within(1, within(3, work("b", 5, 1), "inner"), "outer")

    # The cleanup takes longer than the outer one gives.
    start = loop.time()
    await within(3, within(1, work("c", 5, 4), "inner"), "outer")

    # Both at one instant: the outer one expires.
    start = loop.time()
    await within(2, within(2, work("d", 5, 1), "inner"), "outer")

    # What refuses gives its value, also late.
    start = loop.time()
    log(f"got {await within(1, work('e', 5, 1, True), 'timeout')}")

    # A request and a deadline: the request wins, whichever comes first.
    for first, second in ((1, 2), (2, 1)):
        start = loop.time()
        task = asyncio.create_task(within(first, work("f", 5, 3), "timeout"))
        await asyncio.sleep(second)
        log(f"cancel: {task.cancel()}")
        await asyncio.wait([task])
        log(f"cancelled: {task.cancelled()}")

    # A deadline that was met in the same tick, but later.
    async def quick():
        await asyncio.sleep(1)
        log("quick is awake")
        return "quick"

    start = loop.time()
    loop.call_later(1, loop.advance, 2)
    log(f"got {await within(2, quick(), 'timeout')}")

    # No time at all: what has to wait is cut where it waits first.
    start = loop.time()
    await within(0, work("g", 1), "timeout")
    log(f"got {await within(0, within(None, ready(), 'for ever'), 'no time')}")

    # A task that is waited for.
    start = loop.time()
    task = asyncio.create_task(work("h", 5, 2))
    try:
        await asyncio.wait_for(task, 1)
    except TimeoutError:
        log(f"wait_for expires at {loop.time() - start:g}")
        log(f"task cancelled: {task.cancelled()}")
    log(f"got {await asyncio.wait_for(work('i', 1), 2)}")
    log("main ends")


async def ready():
    return "ready"
