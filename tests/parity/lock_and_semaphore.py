"""Locks and semaphores are handed on in the order of asking; a cancelled waiter leaves, and nobody overtakes."""

import asyncio


async def main(log):
    async def holder(name, lock, units):
        log(f"{name} asks")
        try:
            async with lock:
                log(f"{name} holds")
                await asyncio.sleep(units)
                log(f"{name} lets go")
        except asyncio.CancelledError:
            log(f"{name} gives up")
            raise
        log(f"{name} ends")

    async def late(name, lock):
        # Asks again at once: it does not overtake those who wait.
        for n in range(2):
            log(f"{name} asks {n}")
            async with lock:
                log(f"{name} holds {n}")
                await asyncio.sleep(1)

    def start(lock, *names):
        return [asyncio.create_task(holder(name, lock, 1)) for name in names]

    for kind, lock in (("lock", asyncio.Lock()), ("semaphore", asyncio.Semaphore(1))):
        log(f"{kind}:")
        tasks = start(lock, "a", "b", "c", "d")
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        log(f"locked: {lock.locked()}")

        # The holder is cancelled: it lets go, and the next one has it.
        tasks = start(lock, "e", "f")
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        await asyncio.wait(tasks)

        tasks = [asyncio.create_task(late("again", lock)), *start(lock, "waits")]
        await asyncio.wait(tasks)

    # Two permits, then one more than there were.
    semaphore = asyncio.Semaphore(2)
    tasks = start(semaphore, "p", "q", "r", "s", "t")
    await asyncio.sleep(0.5)
    semaphore.release()
    log("one more")
    await asyncio.wait(tasks)
    log(f"locked: {semaphore.locked()}")
