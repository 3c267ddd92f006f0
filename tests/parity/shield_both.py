"""A shield when both sides are cancelled, around what cleans up, inside a timeout, and in a cleanup."""

import asyncio


async def main(log):
    async def work(name, delay, cleanup):
        log(f"{name} begins")
        try:
            await asyncio.sleep(delay)
            log(f"{name} ends")
            return name
        except asyncio.CancelledError:
            log(f"{name} cleans up")
            await asyncio.sleep(cleanup)
            log(f"{name} is clean")
            raise

    async def shielding(inner):
        try:
            log(f"got {await asyncio.shield(inner)}")
        except asyncio.CancelledError:
            log(f"outer is told, cancelling: {asyncio.current_task().cancelling()}")
        finally:
            log("outer unwinds")

    # Both in one tick: each unwinds for itself, and the outer one does not wait for the inner one's cleanup.
    inner = asyncio.create_task(work("both", 5, 2))
    outer = asyncio.create_task(shielding(inner))
    await asyncio.sleep(1)
    log(f"cancel: {outer.cancel()}, {inner.cancel()}")
    await asyncio.sleep(1)
    log(f"outer done: {outer.done()}, inner done: {inner.done()}")
    await asyncio.wait([inner])
    log(f"inner cancelled: {inner.cancelled()}")

    # The inner one first, the outer one while that cleans up.
    inner = asyncio.create_task(work("in turn", 5, 3))
    outer = asyncio.create_task(shielding(inner))
    await asyncio.sleep(1)
    log(f"cancel: {inner.cancel()}")
    await asyncio.sleep(1)
    log(f"outer done: {outer.done()}")
    log(f"cancel: {outer.cancel()}")
    await asyncio.wait([outer])
    log(f"inner done: {inner.done()}")
    await asyncio.wait([inner])
    log(f"inner cancelled: {inner.cancelled()}")

    # Twice around one task: one of the two is cancelled, the other gets the value.
    inner = asyncio.create_task(work("shared", 3, 0))
    try:
        async with asyncio.timeout(1):
            await asyncio.shield(inner)
    except TimeoutError:
        log("timed out once")
    try:
        async with asyncio.timeout(1):
            await asyncio.shield(inner)
    except TimeoutError:
        log("timed out twice")
    log(f"got {await asyncio.shield(inner)}")

    # In a cleanup: a second request ends the wait, not the task.
    async def cleaning(inner):
        try:
            await asyncio.sleep(3600)
        finally:
            log("outer cleans up")
            await asyncio.shield(inner)
            log("not reached")

    inner = asyncio.create_task(work("kept", 5, 0))
    outer = asyncio.create_task(cleaning(inner))
    await asyncio.sleep(1)
    outer.cancel()
    await asyncio.sleep(1)
    log(f"cancel: {outer.cancel()}")
    await asyncio.wait([outer])
    log(f"outer cancelled: {outer.cancelled()}, inner done: {inner.done()}")
    log(f"inner gives {await inner}")
