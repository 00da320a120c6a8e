"""From a network to its plan: found where it lies, or built once, whoever asks for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from dicomnode.engine.plans.cache import Plan, PlanCache
from dicomnode.engine.plans.child import Following, run_build
from dicomnode.engine.plans.job import BuildJob
from dicomnode.engine.plans.key import PlanKey
from dicomnode.engine.plans.private import UntrustedFileError, read_private
from dicomnode.engine.precision.calibration import Calibration
from dicomnode.faults import PLAN_BUILD_FAILED, PLAN_NOT_WRITTEN, NodeError

log = structlog.get_logger("dicomnode.engine")

_LARGEST_PLAN = 1 << 36


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOrder:
    """A plan that is wanted, with all that it takes to build it.

    content: the network's verified bytes (fp32 ONNX), with the SHA-256 that the key names. builder:
    "module:function" of a `PlanBuilder`. calibration: inputs for int8 and fp8.
    """

    key: PlanKey
    content: bytes = field(repr=False)
    builder: str
    calibration: Calibration | None = None


def ensure_plan(
    cache: PlanCache,
    order: PlanOrder,
    following: Following | None = None,
    waiting: Callable[[], None] = lambda: None,
) -> Plan:
    """Return the plan of an order; build it in a child process when it is not there.

    Takes minutes and the whole GPU: for installation and start, never on a study's way. Of several that ask
    at once one builds, the others wait (`waiting` is called before) and find it. What served before stays.
    Raises NodeError as `run_build` and `PlanCache.put` do.
    """
    plan = cache.find(order.key)
    if plan is not None:
        return plan
    waiting()
    with cache.building(order.key):
        plan = cache.find(order.key)  # who had the lock before may have built it
        if plan is not None:
            return plan
        return _build(cache, order, following or Following())


def _build(cache: PlanCache, order: PlanOrder, following: Following) -> Plan:
    key, folder, path = order.key, cache.work_path(order.key), cache.log_path(order.key)
    earlier_s = cache.expected_build_s(key)
    following = replace(following, earlier_s=following.earlier_s or earlier_s)
    log.info("plan.building", plan=key.title, digest=key.digest, log=str(path), expected_s=earlier_s)
    begun = following.clock()
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a build that died; its lock is ours now
        folder.mkdir(mode=0o700)
        network, output = folder / "network.onnx", folder / "plan"
        network.write_bytes(order.content)
        job = BuildJob(
            builder=order.builder,
            flavour=key.flavour,
            network=str(network),
            sha256=key.onnx_sha256,
            output=str(output),
            engine=key.engine,
            file=key.network,
            precision=key.precision,
            calibration=order.calibration,
            options=key.options,
        )
        facts = run_build(job, path, following)
        content = read_private(output, _LARGEST_PLAN)
    except UntrustedFileError as error:
        raise NodeError(PLAN_BUILD_FAILED, plan=key.title, reason=error, log=path) from error
    except OSError as error:
        raise NodeError(PLAN_NOT_WRITTEN, path=cache.root, error=error.strerror or error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not content:
        raise NodeError(PLAN_BUILD_FAILED, plan=key.title, reason="the builder gave an empty plan", log=path)
    plan = cache.put(key, content, following.clock() - begun, facts)
    log.info("plan.built", plan=key.title, digest=key.digest, bytes=len(content), build_s=plan.record.build_s)
    return plan
