"""What came of a training: tables for people, one object for programs."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from dicomnode.cli.output import console, print_table

if TYPE_CHECKING:
    from dicomnode.evaluate.data import LabelledData
    from dicomnode.learn import HeldOut, Trained


def train_document(trained: Trained, data: LabelledData, not_verified: int) -> dict[str, Any]:
    """Return what `--json` prints: counts, figures with intervals, where the engine lies. No identity.

    not_verified: objects that a machine made and nobody verified, which were not learned from.
    """
    learned, package = trained.learned, trained.package
    weights = (package.folder / "weights.pt").read_bytes()
    return {
        "schema": 1,
        "engine": package.manifest.name,
        "version": package.manifest.version,
        "folder": str(package.folder),
        "digest": package.digest,
        "task": trained.job.recipe.task,
        "network": trained.job.recipe.net,
        "seed": trained.job.recipe.seed,
        "parts": [
            {
                "part": name,
                "patients": len({case.patient for case in cases}),
                "cases": len(cases),
                "synthetic": sum(case.synthetic for case in cases),
            }
            for name, cases in trained.parts.named
        ],
        "epochs": len(learned.rows),
        "best_epoch": learned.best_epoch,
        "score": {"name": trained.job.score_name, "value": learned.best_score},
        "stopped": learned.stopped or None,
        "device": learned.device,
        "precision": learned.precision,
        "folds": list(trained.folds),
        "begun_from": None if trained.begun is None else trained.begun.source,
        "begun": None
        if trained.begun is None
        else {"taken": trained.begun.taken, "drawn_anew": list(trained.begun.fresh)},
        "compared": None
        if trained.beside is None
        else {
            "with": trained.beside.name,
            "score": trained.beside.score,
            "held_out": [_held_out(one) for one in trained.beside.figures],
        },
        "held_out": [_held_out(one) for one in trained.figures],
        "left_out": [{"code": one.code, "text": one.text} for one in trained.left_out],
        "not_judged": [{"code": one.code, "text": one.text} for one in trained.missed],
        "not_verified": not_verified,
        "set_aside": dict(sorted(Counter(one.code for one in data.set_aside).items())),
        "gate_passed": trained.gate.passed,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }


def _held_out(one: HeldOut) -> dict[str, Any]:
    return {
        "name": one.name,
        "cases": one.cases,
        "value": one.interval.figure.value,
        "low": one.interval.low,
        "high": one.interval.high,
    }


def print_trained(document: dict[str, Any]) -> None:
    """Print it for people."""
    parts = [(one["part"], one["patients"], one["cases"], one["synthetic"]) for one in document["parts"]]
    print_table("", ("part", "patients", "cases", "synthetic"), parts)
    score = document["score"]
    rows = [
        ("engine", f"{document['engine']} {document['version']}, in {document['folder']}"),
        ("network", f"{document['network']}, seed {document['seed']}"),
        ("trained", f"{document['epochs']} epochs on {document['device']} ({document['precision']})"),
        ("best", f"epoch {document['best_epoch']}: {score['name']} {score['value']:.4f} of the validation"),
        ("stopped", document["stopped"] or "after its last epoch"),
        ("gate", "passed" if document["gate_passed"] else "NOT passed"),
    ]
    begun = document["begun"]
    if begun is not None:
        anew = f"{begun['taken']} tensors taken, {len(begun['drawn_anew'])} drawn anew"
        rows.insert(2, ("begun from", f"{document['begun_from']}: {anew}"))
    if document["folds"]:
        rows.insert(4, ("folds", ", ".join(f"{one:.4f}" for one in document["folds"])))
    print_table("", ("", ""), rows)
    held_out = [
        (one["name"], one["cases"], one["value"], one["low"], one["high"]) for one in document["held_out"]
    ]
    if held_out:
        print_table(
            "On held-out patients, as in service", ("figure", "cases", "value", "from", "to"), held_out
        )
    else:
        console.print("Nothing was held out, or judged: how good this engine is, is not known.", markup=False)
    if document["compared"] is not None:
        _print_compared(document, document["compared"])
    for one in (*document["left_out"], *document["not_judged"]):
        console.print(f"{one['code']} {one['text']}", markup=False)
    for code, count in document["set_aside"].items():
        console.print(f"{code} {count} files or rows were set aside (`dicomnode fault {code}`)", markup=False)
    if document["not_verified"]:
        count = document["not_verified"]
        text = f"{count} objects of machines, verified by nobody, were not learned from (--machine-labels)."
        console.print(text, markup=False)
    console.print(f"card.md and curves.html in {document['folder']} tell more.", markup=False)


def _print_compared(document: dict[str, Any], compared: dict[str, Any]) -> None:
    """Print what the same training gave on the same split without what this one began from."""
    others = {one["name"]: one["value"] for one in compared["held_out"]}
    name = document["score"]["name"]
    rows = [(f"{name}, of the validation", document["score"]["value"], compared["score"])]
    rows += [(one["name"], one["value"], others.get(one["name"])) for one in document["held_out"]]
    title = f"The same training {compared['with']}, on the same split"
    print_table(title, ("figure", "this engine", compared["with"]), rows)
