"""The whole way: patients, numbers of their lungs, a forest for each pattern, figures, an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dicomnode.engine import EnginePackage
from dicomnode.learn.convert.sklearn_child import run_onnx
from dicomnode.learn.drawn.course import DRAWING, begun, each, made_at_once
from dicomnode.learn.drawn.engine import write_engine
from dicomnode.learn.drawn.kept import there
from dicomnode.learn.drawn.state import Watch
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.features import FeatureTable, RowKey, write_table
from dicomnode.learn.patterns.card import PatternCard, card_of
from dicomnode.learn.patterns.drawn import PATTERNS
from dicomnode.learn.patterns.heads import NO, YES, PatternHead, rule_scores, train_pattern
from dicomnode.learn.patterns.judging import Judged, judged
from dicomnode.learn.patterns.looked import Looked, LookOrder, make_looked, read_looked
from dicomnode.learn.patterns.order import PatternsOrder
from dicomnode.learn.patterns.steps import PROFILE, file_of, judging_table, write_measuring

Make = Callable[[LookOrder], str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadePatterns:
    """What came of it. forests, rules: figures on the held-out patients, in the order of `PATTERNS`.

    left_out: sentences on patients in whom the node measured no lungs, over all sets.
    """

    package: EnginePackage
    heads: tuple[PatternHead, ...]
    forests: tuple[Judged, ...]
    rules: tuple[Judged, ...]
    left_out: tuple[str, ...]

    @property
    def figures(self) -> list[tuple[str, str, Judged]]:
        """Pattern, what answers, and its figures."""
        both = (("forest", self.forests), ("rule", self.rules))
        return [(name, what, some[n]) for n, name in enumerate(PATTERNS) for what, some in both]


def make_patterns(order: PatternsOrder, watch: Watch | None = None, make: Make = make_looked) -> MadePatterns:
    """Train the forests and write their engine; whom an earlier try has measured is not drawn again.

    Raises NodeError: SEED_RESERVED, PATTERNS_TOO_FEW, TRAIN_MISSING, RUN_TAKEN, RUN_NOT_WRITTEN,
    PLANTED_WORKER_ENDED, FILE_NOT_WRITTEN, and what `write_draft` raises.
    """
    watch, seeds = watch or Watch(), order.seeds
    with begun(order, order.digest, "rows"), Workers(order.workers) as workers:
        digest = write_measuring(order.measuring).digest
        wanted = (seeds.trained, seeds.calibrated, seeds.judged)
        looks = [list(order.looks(some, digest)) for some in wanted]
        each(workers, make, [one for some in looks for one in some], DRAWING, watch.progress)
        looked = [[there(read_looked(one), one.kept) for one in some] for some in looks]
        return _made(order, looked, watch)


def _made(order: PatternsOrder, looked: Sequence[Sequence[Looked]], watch: Watch) -> MadePatterns:
    """Grow trees, and write the engine. looked: at whom it learns from, is calibrated and judged on."""
    taught, calibrating, held_out = (table_of(some) for some in looked)
    write_table(taught, order.table)
    since = watch.clock()
    heads = tuple(train_pattern(one, (taught, calibrating), order, watch.progress) for one in PATTERNS)
    seconds = watch.clock() - since
    forests = tuple(_judged_forest(head, held_out, order.seed) for head in heads)
    rules = tuple(_judged_rule(head, held_out, order.seed) for head in heads)
    left_out = tuple(one.reason for some in looked for one in some if one.row is None)
    made = made_at_once(order, seconds)
    counts = [(name, taught.labels[name].count(YES), taught.labels[name].count(NO)) for name in PATTERNS]
    told = PatternCard(heads=heads, forests=forests, rules=rules, taught=counts, left_out=left_out)
    table = judging_table(
        (order.out.name, order.version, order.title),
        {head.pattern: head.threshold for head in heads},
        {head.pattern: head.line.fitted for head in heads},
    )
    networks = {file_of(head.pattern): head.content for head in heads}
    package = write_engine(order, table, networks, card_of(made, order, told), {})
    return MadePatterns(package=package, heads=heads, forests=forests, rules=rules, left_out=left_out)


def table_of(looked: Sequence[Looked]) -> FeatureTable:
    """Return the numbers of those who have some, with a column for each pattern."""
    rows = [one for one in looked if one.row is not None]
    values = [one.row for one in rows if one.row is not None]
    names = PROFILE.names
    return FeatureTable(
        rows=tuple(RowKey(patient=str(one.seed), study_instance_uid=f"2.25.{one.seed}") for one in rows),
        names=names,
        units=("1",) * len(names),
        values=np.array(values, dtype=np.float64).reshape(len(rows), len(names)),
        source=f"{PROFILE.label} on drawn patients",
        labels={name: tuple(YES if one.has[n] else NO for one in rows) for n, name in enumerate(PATTERNS)},
    )


def _truth(table: FeatureTable, pattern: str) -> list[bool]:
    return [one == YES for one in table.labels[pattern]]


def _judged_forest(head: PatternHead, table: FeatureTable, seed: int) -> Judged:
    scores = run_onnx(head.content, table.values.astype(np.float32), head.pattern)[:, 1]
    answers = (_truth(table, head.pattern), scores.tolist())
    return judged(head.pattern, answers, head.threshold, probability=True, seed=seed)


def _judged_rule(head: PatternHead, table: FeatureTable, seed: int) -> Judged:
    scores = rule_scores(head.pattern, table.names, table.values)
    answers = (_truth(table, head.pattern), scores.tolist())
    return judged(head.pattern, answers, head.rule_from, probability=False, seed=seed)
