"""A task is cancelled before its first step, while it waits, twice, in its cleanup, when it has ended, by itself."""

import asyncio


async def main(log):
    async def work(name, cleanup):
        log(f"{name} begins")
        try:
            await asyncio.sleep(3600)
        finally:
            log(f"{name} cleans up")
            for _ in range(cleanup):
                await asyncio.sleep(0)
            log(f"{name} is clean")

    def state(task):
        log(f"done: {task.done()}, cancelling: {task.cancelling()}")

    async def end(task):
        await asyncio.wait([task])
        log(f"cancelled: {task.cancelled()}, cancelling: {task.cancelling()}")

    unborn = asyncio.create_task(work("unborn", 1))
    log(f"cancel: {unborn.cancel()}")
    state(unborn)
    await end(unborn)

    waits = asyncio.create_task(work("waits", 3))
    await asyncio.sleep(0)
    log(f"cancel: {waits.cancel()}")
    state(waits)
    await asyncio.sleep(0)
    state(waits)
    await end(waits)
    log(f"cancel: {waits.cancel()}")
    state(waits)

    # Two requests before it goes on are met as one.
    twice = asyncio.create_task(work("twice", 3))
    await asyncio.sleep(0)
    log(f"cancel: {twice.cancel()}, {twice.cancel()}")
    state(twice)
    await asyncio.sleep(0)
    state(twice)
    await end(twice)

    # A request while it cleans up cuts the cleanup.
    cut = asyncio.create_task(work("cut", 3))
    await asyncio.sleep(0)
    cut.cancel()
    await asyncio.sleep(0)
    log(f"cancel: {cut.cancel()}")
    await end(cut)

    async def outer(name):
        try:
            await work(name, 3)
        finally:
            log(f"{name} cleans up outside")
            await asyncio.sleep(0)
            log(f"{name} is clean outside")

    cut = asyncio.create_task(outer("inside"))
    await asyncio.sleep(0)
    cut.cancel()
    await asyncio.sleep(0)
    cut.cancel()
    await end(cut)

    # A request that is swallowed stays counted until it is taken back.
    async def swallows():
        me = asyncio.current_task()
        for n in range(2):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                log(f"swallowed {n}, cancelling: {me.cancelling()}")
            await asyncio.sleep(0)
            log(f"goes on {n}")
        log(f"uncancel: {me.uncancel()}")
        await asyncio.sleep(0)
        log(f"uncancel: {me.uncancel()}, {me.uncancel()}")
        await asyncio.sleep(0)
        return "a value"

    task = asyncio.create_task(swallows())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(1)
    task.cancel()
    await end(task)
    log(f"gives {task.result()}")

    # Its own request meets it where it waits next.
    async def by_itself():
        log(f"cancel: {asyncio.current_task().cancel()}")
        log("goes on until it waits")
        try:
            await asyncio.sleep(0)
            log("not reached")
        finally:
            log("is met there")

    await end(asyncio.create_task(by_itself()))

    # When it ends without waiting again, it is cancelled all the same.
    async def ends():
        asyncio.current_task().cancel()
        return "no wait"

    await end(asyncio.create_task(ends()))

    finished = asyncio.create_task(asyncio.sleep(0))
    await asyncio.sleep(1)
    log(f"cancel of a finished task: {finished.cancel()}, {finished.cancelled()}")
