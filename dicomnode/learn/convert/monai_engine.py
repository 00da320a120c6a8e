"""From what was read of a bundle to the tables of engine.toml, and the card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from dicomnode.engine.adding.draft import Draft
from dicomnode.learn.convert.channels import channel_inputs, proposal_note
from dicomnode.learn.convert.monai_calls import unanswered
from dicomnode.learn.convert.monai_outputs import STEP, step_and_outputs
from dicomnode.learn.convert.monai_read import Read
from dicomnode.learn.convert.torch_network import MadeNetwork

Entry = dict[str, Any]

NETWORK_FILE: Final = "network.onnx"
IMAGE, GIVEN = "image", "pred"  # names of the network's input and output
_USE: Final = "Research and engineering. Not for clinical use."
_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+){1,3}")


def draft_of(read: Read, network: MadeNetwork) -> Draft:
    """Put the draft together; raises NodeError(QUESTIONS_OPEN) with all that nobody has said."""
    answers, metadata = read.answers, read.texts.metadata
    left_out = [*read.after.left_out]
    inputs, note = _inputs(read)
    step, outputs = _step(read, network, [one["name"] for one in inputs], left_out)
    table: Entry = {
        "name": str(answers.get("name", _name(read.texts.name))),
        "version": str(answers.get("version", _version(metadata.get("version")))),
        "title": str(answers.get("title", metadata.get("name") or metadata.get("task") or read.texts.name)),
        # What its makers intended is told in the card; what stands in every result, a person says
        "use": str(answers.get("use", _USE)),
        "input": inputs,
        "step": [step],
        "output": outputs,
    }
    return Draft(
        table=table,
        networks={NETWORK_FILE: network.content},
        card=_card(read, table, note),
        left_out=tuple(dict.fromkeys(left_out)),
    )


def _inputs(read: Read) -> tuple[list[Entry], str | None]:
    """Return the [[input]] tables, one or one for each channel, and what the card says of their rules."""
    image, answers, note = read.image, read.answers, None
    if len(image.names) > 1:
        channels = channel_inputs(
            image.names,
            answers.get("channels"),
            source=read.source,
            modality=read.modality,
            require=answers.get("require"),
        )
        note = proposal_note(channels)
        tables = [one.table(image.entries[n], first=n == 0) for n, one in enumerate(channels)]
    else:
        tables = [{"name": IMAGE, "kind": "volume", "require": _rules(read), "prepare": image.entries[0]}]
    if answers.get("prefer"):
        tables[0].setdefault("prefer", answers["prefer"])
    return tables, note


def _rules(read: Read) -> list[Entry]:
    if read.answers.get("require"):
        return [dict(rule) for rule in read.answers["require"]]
    if read.modality is None:
        raise unanswered(read.source, {"modality": "of the series that it takes (CT, MR …)"}, "modality=CT")
    return [{"tag": "Modality", "equals": read.modality}]


def _step(
    read: Read, network: MadeNetwork, inputs: list[str], left_out: list[str]
) -> tuple[Entry, list[Entry]]:
    """Return the [[step]] with its outputs."""
    low, high = read.range
    step: Entry = {
        "name": STEP,
        "network": NETWORK_FILE,
        "window": read.window,
        "gate": {"shape": list(read.example), "low": low, "high": high},
    }
    if len(inputs) > 1 or read.image.flat:
        step["inputs"] = {IMAGE: {"of": inputs, "axes": "ncji" if read.image.flat else "nckji"}}
    if len(network.outputs) > 1:
        step["output"] = GIVEN
        left_out.append(
            f"The network gives {len(network.outputs)} outputs; the first one is read, as MONAI does."
        )
    made, outputs = step_and_outputs(read, next(iter(network.outputs.values())), left_out)
    return step | made, outputs


# ── for people ──


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:64] or "monai-bundle"


def _version(said: Any) -> str:
    found = _VERSION.search(str(said))
    return found[0] if found else "1.0.0"


def _card(read: Read, table: Mapping[str, Any], note: str | None) -> str:
    metadata = read.texts.metadata
    lines = [f"# {table['title']}", "", str(metadata.get("description", "")).strip(), ""]
    lines += [
        f"Made from the MONAI bundle {read.texts.name} {metadata.get('version', '')}.".replace(" .", ".")
    ]
    rows = {
        "Use": table["use"],
        "What its makers intended": metadata.get("intended_use"),
        "Authors": metadata.get("authors"),
        "Copyright": metadata.get("copyright"),
        "License": metadata.get("license"),
        "Trained on": metadata.get("data_source"),
        "Results of its makers": metadata.get("eval_metrics"),
        "MONAI": metadata.get("monai_version"),
        "References": metadata.get("references"),
    }
    said = [f"- {name}: {_text(value)}" for name, value in rows.items() if value]
    said += ["", note] if note is not None else []
    return "\n".join([*lines, "", *said]).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    if isinstance(value, list):
        return "; ".join(str(one) for one in value)
    return " ".join(str(value).split())
