"""What a task may do about requests: catch them, count them, take them back."""

import asyncio

UNIT = 0.02  # seconds


async def main(log):
    async def catches():
        me = asyncio.current_task()
        for n in range(2):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                log(f"caught, cancelling: {me.cancelling()}")
                if n == 0:
                    log(f"uncancel: {me.uncancel()}")
        await asyncio.sleep(1 * UNIT)
        log(f"goes on, cancelling: {me.cancelling()}")
        return "a value"

    task = asyncio.create_task(catches())
    await asyncio.sleep(1 * UNIT)
    log(f"first request: {task.cancel()}")
    await asyncio.sleep(1 * UNIT)
    log(f"second request: {task.cancel()}, third: {task.cancel()}, cancelling: {task.cancelling()}")
    await asyncio.wait([task])
    log(f"gives {task.result()}, cancelled: {task.cancelled()}, cancelling: {task.cancelling()}")
    log(f"cancel when done: {task.cancel()}, uncancel: {task.uncancel()}")

    async def in_time():
        try:
            async with asyncio.timeout(5 * UNIT):
                await asyncio.sleep(3600)
        except TimeoutError:
            log(f"timed out, cancelling: {asyncio.current_task().cancelling()}")
        await asyncio.sleep(3600)

    task = asyncio.create_task(in_time())
    await asyncio.sleep(6 * UNIT)
    task.cancel()
    await asyncio.wait([task])
    log(f"cancelled: {task.cancelled()}, cancelling: {task.cancelling()}")
