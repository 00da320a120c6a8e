"""Runs engines on labelled studies for `dicomnode evaluate`: as the node would, beside readers, watched."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode.cli.engine_named import named_engine
from dicomnode.cli.options import threads
from dicomnode.cli.output import Bars
from dicomnode.faults import ENGINE_WITHOUT_FEATURES, READERS_WRONG, NodeError

if TYPE_CHECKING:
    from dicomnode.engine import EnginePackage
    from dicomnode.evaluate.data import LabelledData
    from dicomnode.evaluate.dataset import DataSetLook, Watching
    from dicomnode.evaluate.evaluation import Evaluation
    from dicomnode.evaluate.readers import ReaderColumns
    from dicomnode.evaluate.running import Evaluated, Judging
    from dicomnode.serve import Answering
    from dicomnode.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What every engine of this call is given."""

    data: LabelledData
    settings: Settings | None
    progress: Bars

    def answering(self, package: EnginePackage, made_at: datetime, watching: Watching | None) -> Answering:
        """Load an engine as the node would run it."""
        from dicomnode.assemble import DecoderLimits
        from dicomnode.engine import RuntimeWish, wish_of
        from dicomnode.serve import Answering, AnsweringPlan, Occasion, decoder_limits

        settings = self.settings
        plan = AnsweringPlan(
            threads=(settings.analyse.threads if settings is not None else 0) or threads(),
            # The salt is new each time: no result of an evaluation can be taken for one of an installation
            occasion=Occasion(study_version=1, made_at=made_at, salt=os.urandom(32)),
            wish=RuntimeWish() if settings is None else wish_of(settings, package.manifest.name),
            decoding=DecoderLimits() if settings is None else decoder_limits(settings.assemble),
            keeps_unreported=True,
            watch=None if watching is None else watching.images,
        )
        return Answering(package, plan)


def judged(package: EnginePackage, run: Run, how: Judging, watching: Watching | None) -> Evaluated:
    """Judge an engine. watching: what a look keeps of the studies on the way, None without one."""
    from dicomnode.evaluate.running import judge

    with run.answering(package, how.made_at or datetime.now(UTC), watching) as answering:
        asked = answering if watching is None else watching.answered(answering)
        return judge(run.data, asked, how, run.progress)


def columns_of(
    texts: list[str] | None, known: LabelledData, package: EnginePackage
) -> tuple[ReaderColumns, ...]:
    """Read the columns of readers; without a name they are of the only output that is no outline.

    Raises NodeError(READERS_WRONG), before the work, also for a name that is no such output.
    """
    from dicomnode.evaluate.readers import reader_columns
    from dicomnode.evaluate.truth import wanted_outputs

    found = reader_columns(texts or (), known.columns)
    outputs = {
        one.label.casefold(): one.label
        for one in wanted_outputs(package.manifest, {})
        if one.spec.what in {"classification", "measurement"} and package.manifest.each_of(one.spec) is None
    }
    named = []
    for text, one in zip(texts or (), found, strict=True):
        only = next(iter(outputs.values())) if len(outputs) == 1 and "=" not in text else one.title
        if only.casefold() not in outputs:
            there = ", ".join(outputs.values()) or "none"
            problem = f"{only!r} is no class or number of the engine ({there}); write OUTPUT=COLUMN,COLUMN"
            raise NodeError(READERS_WRONG, text=text, problem=problem)
        named.append(replace(one, title=outputs[only.casefold()]))
    return tuple(named)


def in_company(
    evaluated: Evaluated, run: Run, package: EnginePackage, columns: tuple[ReaderColumns, ...], how: Judging
) -> Evaluated:
    """Set the engine beside the readers of the data, where there are several."""
    from dicomnode.evaluate.readers import readers_beside

    found = readers_beside(
        run.data, evaluated, package.manifest, columns, said=how.said, machine_labels=how.machine_labels
    )
    alone = {one.title for one in columns} - {one.output for one in found}
    told = tuple(
        f"{output}: no case has two readers and an answer that was judged." for output in sorted(alone)
    )
    judged_so_far = evaluated.evaluation
    remarks = (*judged_so_far.remarks, *told)
    return replace(evaluated, evaluation=replace(judged_so_far, companies=found, remarks=remarks))


def compared(evaluated: list[Evaluated], columns: tuple[ReaderColumns, ...], how: Judging) -> Evaluation:
    """Return the evaluation of the first engine, against the second where there is one; readers by number."""
    from dicomnode.evaluate.readers import without_columns
    from dicomnode.evaluate.running import compare

    first, *others = (without_columns(one.evaluation, columns) for one in evaluated)
    return compare(first, others[0], how.resampling) if others else first


def watching_if(*, look: bool) -> Watching | None:
    """Return what keeps the images of studies for a look; None without one."""
    if not look:
        return None
    from dicomnode.evaluate.dataset import Watching
    from dicomnode.evaluate.scikit import need_scikit_learn

    need_scikit_learn("The look of a data set")  # said before the work, not after it
    return Watching()


def looked_at(
    run: Run, evaluation: Evaluation, seed: int, watching: Watching, features: str | None
) -> DataSetLook:
    """Look at the data set; what the first question with classes took for the truth is doubted.

    features: the engine whose features are looked at, instead of those that the judged one gives.
    """
    from dicomnode.assemble import DecoderLimits, DecoderPool
    from dicomnode.evaluate.dataset import answer_labels, look_at_studies

    if features is not None:
        _asked_for_features(features, run, watching)
    of_studies = [
        one for one in evaluation.classifications if not any(each.case.lesion for each in one.cases)
    ]
    labels = answer_labels(of_studies[0]) if of_studies else None
    with DecoderPool(DecoderLimits()) as decode:
        return look_at_studies(run.data, labels, seed, decode, run.progress, watching)


def _asked_for_features(name: str, run: Run, watching: Watching) -> None:
    """Have another engine give features of all studies. Raises NodeError(ENGINE_WITHOUT_FEATURES)."""
    package = package_named(name, run.settings)
    of_studies = (one for one in package.manifest.output if package.manifest.each_of(one) is None)
    if not any(output.what == "features" for output in of_studies):
        raise NodeError(ENGINE_WITHOUT_FEATURES, engine=package.manifest.name, which=" as an [[output]]")
    watching.given.clear()
    studies = run.data.studies
    with run.answering(package, datetime.now(UTC), None) as answering:
        asked = watching.answered(answering)
        for done, study in enumerate(studies):
            run.progress("features of studies", done, len(studies))
            asked(study.study, run.progress)
        run.progress("features of studies", len(studies), len(studies))


def package_named(name: str, settings: Settings | None) -> EnginePackage:
    """Load an engine by its name, or the package of a folder."""
    from dicomnode.engine import load_package

    folder = Path(name)
    return load_package(folder) if folder.is_dir() else named_engine(name, None, settings)
