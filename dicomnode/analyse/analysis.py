"""What an analyst is given of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dicomnode.values import EarlierSeries, Picture, Remark, Volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysis:
    """One study version for one engine.

    volumes: by name of each [[input]] that is a series; a prior that there is not is left out. salt: of the
    installation, for tracking UIDs. made_at: the moment that the results name, time-zone aware; from the
    journal, so that doing it again gives the same. remarks, told: what else results and their provenance say
    of the inputs: which prior was taken, or why there is none. earlier: the images of the priors. days: by
    name of the input, how many days before this study a prior was made.
    """

    volumes: Mapping[str, Volume | Picture]
    salt: bytes
    study_version: int
    made_at: datetime
    remarks: tuple[Remark, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    earlier: tuple[EarlierSeries, ...] = ()
    days: Mapping[str, int] = field(default_factory=dict)
