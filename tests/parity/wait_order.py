"""Waiting for the first, for all, or for some time: what is done then, and nobody is cancelled."""

import asyncio


async def main(log):
    async def work(name, delay, fails=False):
        try:
            await asyncio.sleep(delay)
            log(f"{name} ends")
        except asyncio.CancelledError:
            log(f"{name} cancelled")
            raise
        return name

    def start(*names_and_delays):
        return [asyncio.create_task(work(name, delay), name=name) for name, delay in names_and_delays]

    def show(text, tasks, done):
        names = [task.get_name() for task in tasks if task in done]
        log(f"{text}: {', '.join(names or ['none'])}")

    tasks = start(("a", 3), ("b", 1), ("c", 2))
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    show("done", tasks, done)
    show("pending", tasks, pending)
    tasks = [task for task in tasks if task in pending]
    done, pending = await asyncio.wait(tasks, timeout=0.5)
    show("done after a while", tasks, done)
    done, pending = await asyncio.wait(tasks, timeout=1)
    show("done after a while", tasks, done)
    show("pending", tasks, pending)
    tasks = [task for task in tasks if task in pending]
    done, pending = await asyncio.wait(tasks)
    show("done at last", tasks, done)

    # Two end in one tick: both are done when the one who waits goes on.
    tasks = start(("d", 0), ("e", 0), ("f", 2))
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    show("done together", tasks, done)
    [last] = pending
    log(f"f gives {await last}")

    # One is cancelled: it is done. That is no exception to stop at.
    tasks = start(("g", 3), ("h", 2))
    asyncio.get_running_loop().call_later(1, tasks[0].cancel)
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    show("done", tasks, done)
    await asyncio.wait(pending)
    tasks = start(("i", 3), ("j", 2))
    asyncio.get_running_loop().call_later(1, tasks[0].cancel)
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    show("done without exception", tasks, done)

    # Who waits is cancelled: the tasks go on.
    async def waits(tasks):
        try:
            await asyncio.wait(tasks)
        finally:
            log("who waits unwinds")

    tasks = start(("k", 3), ("l", 2))
    task = asyncio.create_task(waits(tasks))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(4)
    log(f"cancelled: {task.cancelled()}")
    log("main ends")
