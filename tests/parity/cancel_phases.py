"""A task is cancelled in each phase of its life, while another one counts the ticks."""

import asyncio


async def main(log):
    async def counts(ticks):
        for n in range(ticks):
            log(f"tick {n}")
            await asyncio.sleep(0)

    async def victim(name, steps):
        log(f"{name} begins")
        try:
            for _ in range(steps):
                await asyncio.sleep(0)
            await asyncio.sleep(3600)
        finally:
            log(f"{name} cleans up")
            await asyncio.sleep(0)
            log(f"{name} is clean")

    async def seen(name, task):
        await asyncio.wait([task])
        log(f"{name} seen, cancelled: {task.cancelled()}")

    for phase in ["before its first step", "when it has just begun", "while it yields", "while it sleeps"]:
        log(f"cancelled {phase}")
        task = asyncio.create_task(victim("victim", 2))
        watcher = asyncio.create_task(seen("victim", task))
        counter = asyncio.create_task(counts(8))
        for _ in range(["before", "when", "while it y", "while it s"].index(next(
            start for start in ["before", "when", "while it y", "while it s"] if phase.startswith(start)
        ))):
            await asyncio.sleep(0)
        log(f"cancel: {task.cancel()}, cancelling: {task.cancelling()}")
        await watcher
        log("main goes on")
        await counter

    async def stops_itself():
        asyncio.current_task().cancel()
        log("goes on to its next await")
        await asyncio.sleep(0)
        log("not reached")

    task = asyncio.create_task(stops_itself())
    await seen("stops_itself", task)

    async def stops_itself_at_the_end():
        asyncio.current_task().cancel()
        return "dropped"

    task = asyncio.create_task(stops_itself_at_the_end())
    await seen("stops_itself_at_the_end", task)
