"""Names and numbers of figures and cases as the page writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.intervals import Interval
from dicomnode.evaluate.outcomes import CaseName, Judged, RegressionResult

NO_INTERVAL: Final = "—"
_TAIL: Final = 10  # characters of a UID: enough to find it among those of one set

_NAMES: Final = {
    "cohen_kappa": "Cohen's kappa",
    "cohen_kappa_linear": "Cohen's kappa, weighted by steps",
    "cohen_kappa_quadratic": "Cohen's kappa, weighted by the square of steps",
    "fleiss_kappa": "Fleiss' kappa",
    "icc_2_1": "intraclass correlation, ICC(2,1)",
    "krippendorff_alpha": "Krippendorff's alpha",
    "krippendorff_alpha_ordinal": "Krippendorff's alpha of degrees",
    "mean_volume_difference_ml": "mean difference of volumes, ml",
    "one_says_there_is_none": "one outlines it, the other says that there is none",
    "average_precision": "average precision (area under precision and recall)",
    "bias": "bias (mean of found − true)",
    "brier": "Brier score (0 is best)",
    "clean_share": "nothing outlined where there is nothing",
    "concordance": "concordance correlation coefficient",
    "cpm": "mean sensitivity at the seven rates (CPM)",
    "ece": "expected calibration error (0 is best)",
    "f1": "F1",
    "false_positives_per_study": "false alarms a study",
    "limit_high": "upper limit of agreement",
    "limit_low": "lower limit of agreement",
    "macro_f1": "mean F1 of the classes",
    "mean_absolute_volume_error_percent": "mean absolute volume error, %",
    "mean_dice": "mean Dice",
    "mean_hd95_mm": "mean HD95, mm",
    "mean_volume_error_ml": "mean volume error (found − true), ml",
    "median_dice": "median Dice",
    "pearson_r": "Pearson's r",
    "precision": "precision (positive predictive value)",
    "recall": "recall (sensitivity)",
    "roc_auc": "area under the ROC curve",
}

_AT: Final = "sensitivity_at_"  # … so many false alarms a study
_UNITLESS: Final = ("concordance", "pearson_r")


def spoken(figure: Figure) -> str:
    """What a figure is, and of which class."""
    rate = figure.name.removeprefix(_AT)
    if rate != figure.name:
        return f"sensitivity at {rate} false alarms a study"
    name = _NAMES.get(figure.name, figure.name.replace("_", " "))
    return name if figure.label is None else f"{name} of {figure.label}"


def spoken_of_readers(figure: Figure) -> str:
    """The same of two readers, of whom neither is the truth: one is the first, the other the second."""
    return "bias (mean of second − first)" if figure.name == "bias" else spoken(figure)


def named(result: Judged, figure: Figure) -> str:
    """The same with the unit of what was measured."""
    if isinstance(result, RegressionResult) and figure.name not in _UNITLESS:
        return f"{spoken(figure)}, {result.unit.meaning}"
    return spoken(figure)


def value_text(figure: Figure) -> str:
    """The number with three decimals, or why there is none."""
    return f"undefined: {figure.reason}" if figure.value is None else f"{figure.value:.3f}"


def counts_text(figure: Figure) -> str:
    """The counts behind a share: "25 of 435"; "" for other figures."""
    return "" if figure.whole is None else f"{figure.part} of {figure.whole}"


def interval_text(interval: Interval | None) -> str:
    """Both ends, or a dash; where no resample differs "1.000 to 1.000" would look like certainty."""
    if interval is None or interval.low is None or interval.high is None or interval.low == interval.high:
        return NO_INTERVAL
    return f"{interval.low:.3f} to {interval.high:.3f}"


def remarks_of(intervals: Iterable[Interval]) -> list[str]:
    """Why a figure has no interval, or what must be said of it; each sentence once."""
    texts = dict.fromkeys(text for one in intervals for text in one.remarks)
    return [f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in texts]


def interval_of(result: Judged, figure: Figure) -> Interval | None:
    """The interval of a figure, None where it has none."""
    for one in result.intervals:
        if (one.figure.name, one.figure.label) == (figure.name, figure.label):
            return one
    return None


def case_text(case: CaseName) -> str:
    """Where the files of a case lie within the data, and how its UID ends. No patient is named."""
    uid = case.series_instance_uid or case.study_instance_uid
    tail = f"…{uid[-_TAIL:]}" if len(uid) > _TAIL else uid
    tail += f", lesion {case.lesion}" if case.lesion else ""
    return f"{case.place} ({tail})" if case.place and tail else case.place or tail or "a case"


def percent(level: float) -> str:
    """A level as people say it: "95 %"."""
    return f"{100.0 * level:g} %"
