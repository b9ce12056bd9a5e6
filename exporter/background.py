"""Tasks that run beside the supervisor."""

import asyncio


async def first_to_end(owner: asyncio.Task[None], *background: asyncio.Task[None]) -> None:
    """Wait for the supervisor to end. A bug that ends one of the others ends the program, loudly."""
    done, _ = await asyncio.wait((owner, *background), return_when=asyncio.FIRST_COMPLETED)
    if owner not in done:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
    for task in done:
        task.result()
