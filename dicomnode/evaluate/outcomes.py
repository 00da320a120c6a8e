"""What an evaluation found out about one output of an engine, case by case and in figures.

A case is one run of the engine on one stack of a study, with what is true of it. Nobody is named: a patient
is a key, a study its UID, a file its path within the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dicomnode.evaluate.calibration import Calibration
from dicomnode.evaluate.classification import ClassificationReport
from dicomnode.evaluate.curves import PrecisionRecallCurve, RocCurve
from dicomnode.evaluate.detection import FrocCurve, SizeClass, StudyOutcome
from dicomnode.evaluate.intervals import Interval
from dicomnode.evaluate.leading import Headline
from dicomnode.values import Code


class Task(StrEnum):
    """What kind of answer is judged; the words of reports and JSON."""

    SEGMENTATION = "segmentation"
    DETECTION = "detection"
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseName:
    """Which case: number of the patient within the data, UIDs, and the folder within the data.

    lesion: number of the lesion within the truth of its series, "" where the case is the whole of it.
    """

    patient: str
    study_instance_uid: str
    series_instance_uid: str = ""
    place: str = ""
    lesion: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputName:
    """An output of the engine, and what of the labels answers it.

    label: as Findings name it ("lung-left", "nodule"). type: its code, None where it has none. truth: what
    was taken for the truth ("segments of type (39607008, SCT, 'Lung')", "column malignant"). by: how the two
    came together ("code", "label", "said" by hand).
    """

    label: str
    type: Code | None
    truth: str
    by: str

    @property
    def title(self) -> str:
        """The label, and what its code means where that is another word."""
        if self.type is None or self.type.meaning.casefold() == self.label.replace("-", " ").casefold():
            return self.label
        return f"{self.label} ({self.type.meaning})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentedCase:
    """One outline. hd95_mm: None where one of both outlines is empty: there is no distance then."""

    case: CaseName
    dice: float
    hd95_mm: float | None
    found_ml: float
    true_ml: float

    @property
    def volume_error_ml(self) -> float:
        """Found minus true."""
        return self.found_ml - self.true_ml

    @property
    def volume_error_percent(self) -> float | None:
        """The same in percent of the true volume, None where that is nothing."""
        return 100.0 * self.volume_error_ml / self.true_ml if self.true_ml > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What every result has.

    headline: what is said first. intervals: figures with their intervals by patient, in the order of a
    report. unanswered: cases with a truth that the engine gave no answer to; no figure counts them, a warning
    says what it would be if it did. untold: answered cases whose labels do not speak of this output. remarks:
    sentences.
    """

    output: OutputName
    headline: Headline
    intervals: tuple[Interval, ...]
    unanswered: tuple[CaseName, ...] = ()
    untold: int = 0
    remarks: tuple[str, ...] = ()

    def figure(self, name: str, label: str | None = None) -> Interval:
        """The figure of a name, of a class where it is one of it. Raises KeyError where there is none."""
        for one in self.intervals:
            if one.figure.name == name and (label is None or one.figure.label == label):
                return one
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationResult(Judged):
    """Outlines. Dice and distances are of the cases in which there is something to outline.

    intervals: mean_dice, median_dice, mean_hd95_mm, mean_volume_error_ml,
    mean_absolute_volume_error_percent, and clean_share: of the cases with nothing to outline, those in which
    nothing was outlined.
    """

    cases: tuple[SegmentedCase, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedCase:
    """Findings of one study, and the candidates that lie on nothing.

    outcome: of what the engine reports. candidates: of all that it has, reported or not; None where nobody
    kept what it does not report.
    """

    case: CaseName
    outcome: StudyOutcome
    candidates: StudyOutcome | None = None

    @property
    def free(self) -> StudyOutcome:
        """What a curve over all thresholds is made of."""
        return self.outcome if self.candidates is None else self.candidates


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionResult(Judged):
    """Findings with a place. threshold: from which what the engine reports counts.

    intervals: sensitivity, false_positives_per_study (both of what is reported), cpm. by_size: of what is
    reported. curve: of all candidates down to the score `down_to`; None: of what is reported alone.
    """

    cases: tuple[DetectedCase, ...] = ()
    threshold: float = 0.0
    curve: FrocCurve
    by_size: tuple[SizeClass, ...] = ()
    down_to: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedCase:
    """One answer. scores: of `ClassificationResult.labels` in their order, 0 to 1.

    Of a question with yes or no the two labels are "no <label>" and the label; both scores add up to 1.
    """

    case: CaseName
    truth: str
    called: str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassCurves:
    """One class against the rest; calibration: None where scores are no probabilities."""

    label: str
    roc: RocCurve
    precision_recall: PrecisionRecallCurve
    calibration: Calibration | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassificationResult(Judged):
    """Classes. positive: the label of what is looked for, None where no class is more than another.

    threshold: the score from which the positive class is called, None where the highest score decides.
    calibrated: whether the engine declares its scores to be probabilities. intervals: recall, specificity,
    precision, f1 of each class, balanced_accuracy, macro_f1, accuracy, roc_auc and average_precision of each
    class, brier and ece of what is looked for.
    """

    labels: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float | None = None
    calibrated: bool = False
    cases: tuple[ClassifiedCase, ...] = ()
    report: ClassificationReport
    curves: tuple[ClassCurves, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressedCase:
    """One number, in the unit of the result."""

    case: CaseName
    found: float
    true: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionResult(Judged):
    """Numbers with a unit (UCUM).

    intervals: mean_absolute_error, root_mean_square_error, bias, limit_low, limit_high (of agreement, Bland
    and Altman: bias ∓ 1.96 standard deviations), concordance, pearson_r.
    """

    unit: Code
    cases: tuple[RegressedCase, ...] = ()


Result = SegmentationResult | DetectionResult | ClassificationResult | RegressionResult

TASK_OF: dict[type[Judged], Task] = {
    SegmentationResult: Task.SEGMENTATION,
    DetectionResult: Task.DETECTION,
    ClassificationResult: Task.CLASSIFICATION,
    RegressionResult: Task.REGRESSION,
}
