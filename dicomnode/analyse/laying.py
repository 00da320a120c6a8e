"""Further volumes of an engine, as they lie in the patient space of the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dicomnode.analyse.register import Registration, register
from dicomnode.analyse.resample import Prepared
from dicomnode.engine import InputSpec, Manifest
from dicomnode.faults import NEEDS_REGISTRATION, NO_PRIOR, REGISTRATION_FAILED
from dicomnode.values import EarlierSeries, Progress, Refusal, Remark, RemarkKind, Volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Laid:
    """images: by name of the further input, None for a prior that there is not. told: how it was done.

    registered: how those of another Frame of Reference lie over the first one.
    """

    images: Mapping[str, Prepared | None]
    remarks: tuple[Remark, ...]
    told: Mapping[str, str]
    registered: Mapping[str, Registration]


def lay(manifest: Manifest, volumes: Mapping[str, Volume], progress: Progress) -> Laid | Refusal:
    """Lay each further volume over the first one; a refusal where one that is needed does not go with it.

    A prior that is not given is none: who gives the volumes says why. KeyError for another one.
    """
    images: dict[str, Prepared | None] = {}
    remarks: list[Remark] = []
    told: dict[str, str] = {}
    registered: dict[str, Registration] = {}
    own = volumes[manifest.volumes[0].name]
    for spec in manifest.volumes[1:]:
        if spec.prior is not None and spec.name not in volumes:
            images[spec.name] = None
            continue
        volume = volumes[spec.name]
        if spec.prior is None and _same_space(volume, own):
            images[spec.name] = Prepared(volume.voxels, volume.grid)
            continue
        if spec.register == "none":
            return _needs_registration(manifest, spec, volumes)
        found = register(own, volume, spec.register, progress)
        if not isinstance(found, str):
            told[_how(spec.name)] = found.words
            registered[spec.name] = found
            images[spec.name] = Prepared(volume.voxels, found.grid_of(volume.grid, own.grid))
            continue
        failed = _failed(manifest, spec, found)
        if spec.prior is None or spec.prior.required:
            return failed
        images[spec.name] = None
        text = NO_PRIOR.text(name=spec.name, reason=failed.text.rstrip("."))
        remarks.append(Remark(kind=RemarkKind.QUALITY, text=text, code=failed.code))
    return Laid(images=images, remarks=tuple(remarks), told=told, registered=registered)


def named_priors(manifest: Manifest, given: Mapping[str, str], laid: Mapping[str, str]) -> list[Remark]:
    """Say which earlier study each prior is of that an engine got: without that a change means nothing.

    given, laid: what is told of the priors that were taken, and of how they were laid over the current study.
    """
    remarks = []
    for spec in manifest.priors:
        if how := laid.get(_how(spec.name)):
            which = f" ({given[told]})" if (told := f"prior {spec.name}") in given else ""
            text = f"Input {spec.name!r} is of an earlier study{which}, laid over this one: {how}."
            remarks.append(Remark(kind=RemarkKind.QUALITY, text=text))
    return remarks


def looked_at(given: Sequence[EarlierSeries], laid: Mapping[str, str]) -> tuple[EarlierSeries, ...]:
    """Return the priors that the engine got: what was laid over the current study."""
    return tuple(one for one in given if _how(one.name) in laid)


def _how(name: str) -> str:
    return f"registration of {name}"


def _same_space(volume: Volume, own: Volume) -> bool:
    space = own.frame_of_reference_uid
    return bool(space) and volume.frame_of_reference_uid == space


def _failed(manifest: Manifest, spec: InputSpec, reason: str) -> Refusal:
    first = manifest.volumes[0].name
    return REGISTRATION_FAILED.refusal(engine=manifest.name, name=spec.name, first=first, reason=reason)


def _needs_registration(manifest: Manifest, spec: InputSpec, volumes: Mapping[str, Volume]) -> Refusal:
    first = manifest.volumes[0].name
    return NEEDS_REGISTRATION.refusal(
        engine=manifest.name,
        name=spec.name,
        first=first,
        frame=volumes[spec.name].frame_of_reference_uid or "none",
        first_frame=volumes[first].frame_of_reference_uid or "none",
    )
