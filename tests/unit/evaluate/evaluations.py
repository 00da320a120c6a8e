"""Invented evaluations whose figures all follow from their cases, for tests of what is made of them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from dicomnode.evaluate import (
    ConfusionMatrix,
    Figure,
    KnownLesion,
    Printed,
    Resampling,
    ScoredCases,
    StudyOutcome,
    bootstrap_interval,
    brier,
    calibration_of,
    classification_report,
    compare_areas,
    competition_performance,
    expected_calibration_error,
    false_alarms_at,
    froc,
    headline,
    matrix_of_labels,
    mcnemar_test,
    precision_recall_curve,
    roc_auc,
    roc_curve,
    sensitivity_at,
    sensitivity_by_size,
)
from dicomnode.evaluate.evaluation import (
    CaseRun,
    Compared,
    ComparedCalls,
    Comparison,
    DataFacts,
    EngineFacts,
    Evaluation,
    RunState,
)
from dicomnode.evaluate.leading import Headline
from dicomnode.evaluate.outcomes import (
    CaseName,
    ClassCurves,
    ClassificationResult,
    ClassifiedCase,
    DetectedCase,
    DetectionResult,
    OutputName,
    RegressedCase,
    RegressionResult,
    SegmentationResult,
    SegmentedCase,
    Task,
)
from dicomnode.values import Code

ARTICLE = ((3935, 675), (410, 25))
RESAMPLING = Resampling(resamples=100, seed=7)
MILLIMETRE = Code("mm", "UCUM", "mm")
LUNG = Code("39607008", "SCT", "Lung")


def case_name(n: int) -> CaseName:
    """Case n; every third patient has two studies."""
    return CaseName(
        patient=f"{0xFEEDFACE00000000 + n - (n % 3 == 2):016x}",
        study_instance_uid=f"1.2.826.0.1.3680043.10.1.{100000 + n}",
        series_instance_uid=f"1.2.826.0.1.3680043.10.1.{100000 + n}.1",
        place=f"site-a/case-{n:03d}",
    )


def engine(version: str = "1.1.0") -> EngineFacts:
    return EngineFacts(
        name="lung-ct",
        version=version,
        title="Lungs and nodule candidates",
        use="Research and engineering. Not for clinical use.",
        digest=f"{int(version.replace('.', '')):064x}",
        runtime="onnxruntime",
        precision="fp32",
        device="CPU",
    )


def classification(seed: int = 3, count: int = 90, sharp: float = 1.6) -> ClassificationResult:
    """Malignant or not, by scores that overlap."""
    generator = np.random.default_rng(seed)
    truth = np.arange(count) % 3 == 0
    scores = 1.0 / (1.0 + np.exp(-(sharp * np.where(truth, 1.0, -1.0) + generator.normal(0, 1.3, count))))
    cases = ScoredCases(truth=truth, scores=scores)
    labels = ("no malignant", "malignant")
    words = [labels[int(one)] for one in truth]
    called = [labels[int(one >= 0.6)] for one in scores]
    names = [case_name(n) for n in range(count)]
    patients = [one.patient for one in names]
    report = classification_report(matrix_of_labels(words, called, labels, "malignant"))

    def of_matrix(name: str, label: str | None):
        def figure(rows):
            picked = matrix_of_labels(
                [words[r] for r in rows], [called[r] for r in rows], labels, "malignant"
            )
            return next(
                one
                for one in classification_report(picked).figures()
                if (one.name, one.label) == (name, label)
            )

        return bootstrap_interval(patients, figure, RESAMPLING)

    def of_scores(figure_of):
        return bootstrap_interval(patients, lambda rows: figure_of(cases.take(rows)), RESAMPLING)

    wanted = [(name, label) for label in labels for name in ("recall", "specificity", "precision", "f1")]
    intervals = [of_matrix(name, label) for name, label in [*wanted, ("accuracy", None)]]
    intervals += [of_scores(roc_auc), of_scores(brier), of_scores(expected_calibration_error)]
    return ClassificationResult(
        output=OutputName(label="malignant", type=None, truth="column malignant", by="label"),
        headline=headline(report),
        intervals=tuple(intervals),
        untold=2,
        labels=labels,
        positive="malignant",
        threshold=0.6,
        calibrated=True,
        cases=tuple(
            ClassifiedCase(case=name, truth=word, called=call, scores=(1.0 - float(score), float(score)))
            for name, word, call, score in zip(names, words, called, scores, strict=True)
        ),
        report=report,
        curves=(
            ClassCurves(
                label="malignant",
                roc=roc_curve(cases),
                precision_recall=precision_recall_curve(cases),
                calibration=calibration_of(cases),
            ),
        ),
    )


def _lead(figure: Figure, warnings: tuple[str, ...] = ()) -> Headline:
    return Headline(lead=figure, warnings=warnings, contradictions=(), then=())


def detection(seed: int = 5, count: int = 40) -> DetectionResult:
    """Nodules of 3 to 25 mm: the larger the surer."""
    generator = np.random.default_rng(seed)
    outcomes = []
    for _ in range(count):
        sizes = generator.uniform(3.0, 25.0, int(generator.integers(0, 4)))
        lesions = tuple(
            KnownLesion(
                diameter_mm=float(size),
                score=float(np.clip(0.2 + size / 25.0 * 0.7 + generator.normal(0, 0.1), 0.11, 0.99))
                if generator.random() < 0.5 + size / 50.0
                else None,
            )
            for size in sizes
        )
        alarms = tuple(float(one) for one in generator.uniform(0.1, 0.75, int(generator.poisson(1.8))))
        outcomes.append(StudyOutcome(lesions=lesions, false_alarms=alarms))
    names = [case_name(n) for n in range(count)]
    patients = [one.patient for one in names]

    def interval(figure_of):
        return bootstrap_interval(patients, lambda rows: figure_of([outcomes[r] for r in rows]), RESAMPLING)

    intervals = (
        interval(lambda some: sensitivity_at(some, 0.3)),
        interval(lambda some: false_alarms_at(some, 0.3)),
        interval(competition_performance),
    )
    return DetectionResult(
        output=OutputName(label="nodule", type=None, truth="segments labelled nodule", by="label"),
        headline=_lead(intervals[0].figure),
        intervals=intervals,
        cases=tuple(DetectedCase(case=name, outcome=one) for name, one in zip(names, outcomes, strict=True)),
        threshold=0.3,
        curve=froc(outcomes),
        by_size=sensitivity_by_size(outcomes, 0.3),
    )


def segmentation(label: str = "lung-left", seed: int = 11, count: int = 24) -> SegmentationResult:
    """Outlines of a few litres, two of which went wrong, one of them altogether."""
    generator = np.random.default_rng(seed)
    cases = []
    for n in range(count):
        true_ml = float(generator.uniform(1200.0, 3200.0))
        overlap = float(np.clip(generator.normal(0.965, 0.012), 0.0, 0.999))
        hd95_mm: float | None = float(generator.uniform(1.0, 6.0))
        found_ml = true_ml * float(generator.normal(0.99, 0.03))
        if n == 4:
            overlap, hd95_mm, found_ml = 0.61, 38.5, 0.55 * true_ml
        if n == 9:
            overlap, hd95_mm, found_ml = 0.0, None, 0.0
        cases.append(
            SegmentedCase(
                case=case_name(n), dice=overlap, hd95_mm=hd95_mm, found_ml=found_ml, true_ml=true_ml
            )
        )
    patients = [one.case.patient for one in cases]

    def mean_of(name, value_of):
        def figure(rows):
            values = [value for value in (value_of(cases[r]) for r in rows) if value is not None]
            return Figure(name=name, value=float(np.mean(values)))

        return bootstrap_interval(patients, figure, RESAMPLING)

    intervals = (
        mean_of("mean_dice", lambda one: one.dice),
        mean_of("mean_hd95_mm", lambda one: one.hd95_mm),
        mean_of("mean_volume_error_ml", lambda one: one.volume_error_ml),
    )
    return SegmentationResult(
        output=OutputName(
            label=label, type=LUNG, truth="segments of type (39607008, SCT, 'Lung')", by="code"
        ),
        headline=_lead(intervals[0].figure, ("In 1 of 24 cases nothing was outlined.",)),
        intervals=intervals,
        cases=tuple(cases),
    )


def regression(seed: int = 13, count: int = 30) -> RegressionResult:
    """A diameter in mm with a little bias."""
    generator = np.random.default_rng(seed)
    true = generator.uniform(5.0, 40.0, count)
    found = true * 0.97 + generator.normal(0.5, 1.5, count)
    cases = tuple(
        RegressedCase(case=case_name(n), found=float(found[n]), true=float(true[n])) for n in range(count)
    )
    patients = [one.case.patient for one in cases]

    def figure(rows):
        error = float(np.mean(np.abs(found[rows] - true[rows])))
        return Figure(name="mean_absolute_error", value=error)

    interval = bootstrap_interval(patients, figure, RESAMPLING)
    return RegressionResult(
        output=OutputName(label="diameter", type=None, truth="column diameter_mm", by="said"),
        headline=_lead(interval.figure),
        intervals=(interval,),
        unit=MILLIMETRE,
        cases=cases,
    )


def article(printed: tuple[Printed, ...] = (Printed(name="accuracy", text="0.9802"),)) -> Evaluation:
    """The matrix that was printed beside an accuracy of 98 %: nothing else is known."""
    matrix = ConfusionMatrix(labels=("healthy", "sick"), counts=np.array(ARTICLE), positive="sick")
    report = classification_report(matrix)
    return Evaluation(
        engine=EngineFacts(name="article", version="1", title="", use="", digest="0" * 64),
        data=DataFacts(studies=5045, patients=5045),
        runs=(),
        classifications=(
            ClassificationResult(
                output=OutputName(label="sick", type=None, truth="a matrix of others", by="said"),
                headline=headline(report, printed),
                intervals=(),
                labels=("healthy", "sick"),
                positive="sick",
                report=report,
            ),
        ),
    )


def runs(count: int = 90) -> tuple[CaseRun, ...]:
    done = [CaseRun(case=case_name(n), state=RunState.ANALYSED, seconds=2.0 + n / 50) for n in range(count)]
    return (
        *done,
        CaseRun(case=case_name(200), state=RunState.REFUSED, code="DN-4003", reason="Slices are missing."),
        CaseRun(case=case_name(201), state=RunState.NOT_WANTED, reason="Modality equals CT: it is MR"),
        CaseRun(case=case_name(202), state=RunState.FAILED, code="DN-5001", reason="Out of memory."),
    )


def evaluation(*, compared: bool = False, made_at: datetime | None = datetime(2026, 3, 1, tzinfo=UTC)):
    """Everything at once: all four tasks, refusals, remarks, and another engine where asked."""
    first = classification()
    return Evaluation(
        engine=engine(),
        data=DataFacts(
            studies=93,
            patients=64,
            synthetic=3,
            part="test",
            parts=(("train", 300), ("validate", 90), ("test", 93)),
            annotations=150,
            labels="labels.csv",
            set_aside={"DN-2001": 4},
            digest="a" * 64,
        ),
        runs=runs(),
        segmentations=(segmentation(), segmentation("lung-right", 12), segmentation("left lower lobe", 14)),
        detections=(detection(),),
        classifications=(first,),
        regressions=(regression(),),
        unmatched=("The engine gives “vessel”; no label speaks of it.",),
        remarks=("Some studies are synthetic: figures of phantoms say little of patients.",),
        comparison=_comparison(first) if compared else None,
        resampling=RESAMPLING,
        node_version="0.1.0",
        made_at=made_at,
    )


def _comparison(second: ClassificationResult) -> Comparison:
    first = classification(seed=4, sharp=0.7)
    patients = [one.case.patient for one in first.cases]
    old, new = (
        ScoredCases(
            truth=np.array([case.truth == "malignant" for case in one.cases]),
            scores=np.array([case.scores[1] for case in one.cases]),
        )
        for one in (first, second)
    )
    area, precision = compare_areas(patients, old, new, RESAMPLING)
    right = [[case.called == case.truth for case in one.cases] for one in (first, second)]
    return Comparison(
        other=Evaluation(
            engine=engine("1.0.0"), data=DataFacts(studies=93, patients=64), runs=(), classifications=(first,)
        ),
        differences=tuple(
            Compared(task=Task.CLASSIFICATION, output="malignant", difference=one, higher_is_better=True)
            for one in (area, precision)
        ),
        calls=(ComparedCalls(output="malignant", test=mcnemar_test(right[0], right[1], patients)),),
        remarks=("Both engines saw the same 90 cases.",),
    )
