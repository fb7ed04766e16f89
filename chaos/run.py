"""A run from beginning to end: phases under load, and after each of them quiet and a proof."""

import asyncio
from collections.abc import Sequence

import msgspec

from chaos.arena import Arena, arena
from chaos.plan import Plan
from chaos.proof import Proof, drained, prove
from chaos.report import Phase, Report, report_of
from chaos.trouble import Fault, Tell, Trouble
from paidup.clock import SystemClock, monotonic_s


async def run(plan: Plan, tell: Tell) -> Report:
    """Everything that was started is ended when this returns or raises, also when it is cancelled."""
    now = SystemClock().now()
    async with arena(plan) as world:
        trouble = Trouble(world, plan, tell)
        phases: list[Phase] = []
        for name in plan.phases:
            phases.append(await _phase(name, world, trouble, tell))
            if phases[-1].breaches:
                break  # what comes after it would prove nothing
        return report_of(plan, phases, world.shop.opened, now)


async def _phase(name: str, world: Arena, trouble: Trouble, tell: Tell) -> Phase:
    tell(f"phase {name}")
    world.balancer.begin()
    world.fallen.clear()
    began = monotonic_s()
    faults = await _under_load(name, world, trouble)
    load_s = monotonic_s() - began
    tell("no more orders; waiting until everything is settled")
    drained_s, left = await drained(world)
    tell(f"settled after {drained_s:.1f} s" if not left else f"NOT settled after {drained_s:.0f} s: {left}")
    callbacks, api = map(msgspec.structs.replace, (world.balancer.callbacks, world.balancer.api))
    proof = await prove(world)
    tell(f"paid at the channels {proof.paid_at_channel}, here {proof.paid_here}, told {proof.told_to_shop}")
    return Phase(
        name=name,
        load_s=load_s,
        drained_s=drained_s,
        longest_without_answer_s=world.balancer.silence.longest_s,
        callbacks=callbacks,
        api=api,
        faults=faults,
        fallen=list(world.fallen),
        proof=proof,
        breaches=_breaches(name, world, faults, left, proof),
        not_done=f"disk full: {world.disk.why_not}" if name == "database" and world.disk.why_not else "",
    )


async def _under_load(name: str, world: Arena, trouble: Trouble) -> list[Fault]:
    """Orders are placed until the phase's trouble is over."""
    stop = asyncio.Event()
    orders = asyncio.create_task(world.shop.order_until(stop))
    try:
        faults = await trouble.phase(name)
        stop.set()
        await orders
    finally:
        orders.cancel()
    return faults


def _breaches(name: str, world: Arena, faults: Sequence[Fault], left: str, proof: Proof) -> list[str]:
    found = proof.breaches + [f"an order could not be placed: {why}" for why in world.shop.failed]
    found += [fault.wrong for fault in faults if fault.wrong]
    if left:
        found.append(f"not settled: {left}")
    if name == "rolling":
        reset = world.balancer.callbacks.reset + world.balancer.api.reset
        silent = world.balancer.callbacks.silent + world.balancer.api.silent
        if reset or silent:
            found.append(f"{reset} requests that a process had taken were reset, {silent} were never answered")
    return found
