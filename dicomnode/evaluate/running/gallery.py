"""Pictures of the worst cases: images are decoded once more, for these alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dicomnode.assemble import DecodeSlices, Stack, decode_here, load_picture, load_volume
from dicomnode.evaluate.evaluation import task_of
from dicomnode.evaluate.outcomes import CaseName, Task
from dicomnode.evaluate.page import WorstPicture
from dicomnode.evaluate.pictures import Place, truth_and_found_png
from dicomnode.evaluate.running.drawn import Drawn, Spot
from dicomnode.evaluate.running.judging import Evaluated
from dicomnode.evaluate.worst import worst_cases
from dicomnode.faults import NodeError
from dicomnode.values import Mask, Picture, Progress, Volume, no_progress

MOST: int = 4  # of each output: a page is read, not scrolled through


def worst_pictures(
    evaluated: Evaluated,
    most: int = MOST,
    decode: DecodeSlices = decode_here,
    progress: Progress = no_progress,
) -> Iterator[WorstPicture]:
    """Draw the worst cases of each output, at most so many, in the order of the page.

    A case whose images cannot be decoded any more is left out: the page names it all the same. Progress:
    "drawing pictures".
    """
    drawn: Mapping[tuple[Task, str, CaseName], Drawn] = {
        (one.task, one.output, one.case): one for one in evaluated.drawn
    }
    wanted = [
        (worst, drawn[key])
        for result in evaluated.evaluation.results
        for worst in worst_cases(result, most)
        if (key := (task_of(result), result.output.label, worst.case)) in drawn
    ]
    for done, (worst, one) in enumerate(wanted):
        progress("drawing pictures", done, len(wanted))
        try:
            images = _images(one.stack, decode)
        except NodeError:
            continue
        png = truth_and_found_png(images, _shapes(one.truth), _shapes(one.found), one.about)
        yield WorstPicture(output=one.output, case=one.case, said=worst.said, png=png)
    progress("drawing pictures", len(wanted), len(wanted))


def _images(stack: Stack, decode: DecodeSlices) -> Volume | Picture:
    if stack.kind == "volume":
        return load_volume(stack, no_progress, decode)
    return load_picture(stack, no_progress, decode)


def _shapes(given: tuple[Mask | Spot, ...]) -> list[Mask | Place]:
    return [
        one if isinstance(one, Mask) else Place(centre_lps_mm=one.centre_lps_mm, diameter_mm=one.diameter_mm)
        for one in given
    ]
