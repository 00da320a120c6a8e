"""Plans: networks compiled for one GPU, one version and one driver; kept, verified, built in a child process.

What a plan is bound to (`PlanKey`), the folder that it lies in (`PlanCache`), and how it gets there
(`ensure_plan`). Nothing here knows a runtime: bytes go in, bytes come out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.engine.plans.cache import Plan, PlanCache, PlanInUse, open_plans
    from dicomnode.engine.plans.child import Following
    from dicomnode.engine.plans.compiled import Compiler, KeptPlans, compiler_of, plan_order
    from dicomnode.engine.plans.job import BuildJob, BuildProgress, PlanBuilder, Tell
    from dicomnode.engine.plans.key import GpuIdentity, PlanKey
    from dicomnode.engine.plans.order import PlanOrder, ensure_plan
    from dicomnode.engine.plans.record import PlanRecord, PlanState
    from dicomnode.engine.plans.wanted import find_compilers, orders_of

_HOMES = {
    "cache": ("Plan", "PlanCache", "PlanInUse", "open_plans"),
    "child": ("Following",),
    "compiled": ("Compiler", "KeptPlans", "compiler_of", "plan_order"),
    "job": ("BuildJob", "BuildProgress", "PlanBuilder", "Tell"),
    "key": ("GpuIdentity", "PlanKey"),
    "order": ("PlanOrder", "ensure_plan"),
    "record": ("PlanRecord", "PlanState"),
    "wanted": ("find_compilers", "orders_of"),
}

__all__ = [
    "BuildJob",
    "BuildProgress",
    "Compiler",
    "Following",
    "GpuIdentity",
    "KeptPlans",
    "Plan",
    "PlanBuilder",
    "PlanCache",
    "PlanInUse",
    "PlanKey",
    "PlanOrder",
    "PlanRecord",
    "PlanState",
    "Tell",
    "compiler_of",
    "ensure_plan",
    "find_compilers",
    "open_plans",
    "orders_of",
    "plan_order",
]

__getattr__ = lazy_face(__name__, _HOMES)
