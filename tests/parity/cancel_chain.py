"""A chain of tasks that await each other: a request from outside is at the innermost at once, and each unwinds a tick later."""

import asyncio


async def main(log):
    ticking = False

    async def ticker():
        n = 0
        while ticking:
            log(f"tick {n}")
            n += 1
            await asyncio.sleep(0)

    async def link(depth, tasks):
        try:
            if depth == 0:
                await asyncio.sleep(3600)
            else:
                tasks.append(asyncio.create_task(link(depth - 1, tasks)))
                await tasks[-1]
            log(f"{depth} goes on")
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():
                raise
            log(f"{depth} is told that the next one was cancelled")
        finally:
            log(f"{depth} ends")

    for cancelled in (0, 2):
        tasks = []
        outermost = asyncio.create_task(link(4, tasks))
        await asyncio.sleep(1)
        chain = [outermost, *tasks]
        log(f"cancel: {chain[cancelled].cancel()}")
        log(f"cancelling: {[task.cancelling() for task in chain]}")
        ticking = True
        ticks = asyncio.create_task(ticker())
        try:
            await outermost
        except asyncio.CancelledError:
            log("main is told, too")
        ticking = False
        await ticks

    # The innermost gives a value instead: then the one that awaits it goes on, although it was asked, too.
    async def innermost():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log("innermost refuses")
        return "a value"

    async def middle():
        value = await asyncio.create_task(innermost())
        log(f"middle got {value}, cancelling: {asyncio.current_task().cancelling()}")
        return value

    async def outer():
        log(f"outer got {await asyncio.create_task(middle())}")
        await asyncio.sleep(0)
        log("outer waits again, and is not met by the old request")

    task = asyncio.create_task(outer())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    log(f"outer cancelled: {task.cancelled()}")

    # A second request, while the innermost cleans up.
    async def cleaning():
        try:
            await asyncio.sleep(3600)
        finally:
            log("innermost cleans up")
            await asyncio.sleep(1)
            log("not reached")

    async def above():
        try:
            await asyncio.create_task(cleaning())
        finally:
            log("above unwinds")

    task = asyncio.create_task(above())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    log(f"cancel: {task.cancel()}")
    await asyncio.wait([task])
    log(f"cancelled: {task.cancelled()}")
