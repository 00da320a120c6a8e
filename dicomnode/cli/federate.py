"""`dicomnode federate server|client`: sites train one network together; no image leaves its site."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from dicomnode.cli.options import threads as usable_threads
from dicomnode.cli.output import Bars, JsonOption, bars, console, print_json, print_table
from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import (
    ENGINE_EXISTS,
    EXIT_DONE,
    EXIT_PARTLY,
    FEDERATED_BEGUN,
    FEDERATED_KEPT,
    FEDERATED_OPEN,
    FILE_UNREADABLE,
    USAGE,
    NodeError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicomnode.learn import Order
    from dicomnode.learn.federate import Kept, Lead, Round, SiteRound, Tls

SERVER_EPILOG = (
    "EXIT STATUS: 0 all rounds are done, 1 a site failed or the sites do not fit together, 2 usage, 11 a "
    "certificate cannot be read, 12 Flower is not installed, 13 the address cannot be listened on."
)
CLIENT_EPILOG = (
    "EXIT STATUS: 0 an engine was made, 1 it failed, 2 usage or a recipe that is wrong, 3 nothing to learn "
    "from, 4 an engine was made, and some studies were left out, 11 the disk is full, 12 torch, MONAI or "
    "Flower is not installed, 13 the server is not there or left."
)
_STAGE: Final = "rounds"
_COMING: Final = "sites"

app = typer.Typer(
    help="Train one network at several sites; weights and counts travel, images stay.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Without TLS beyond this machine, where a tunnel encrypts.")
]


CertificateOption = Annotated[
    Path | None,
    typer.Option("--tls-certificate", metavar="PEM", help="What this side shows of itself; with --tls-key."),
]
KeyOption = Annotated[
    Path | None, typer.Option("--tls-key", metavar="PEM", help="Private key of --tls-certificate.")
]


SitesOption = Annotated[
    int, typer.Option("--sites", min=1, help="How many sites take part; all are waited for.")
]
WeightsOption = Annotated[
    Path, typer.Option("--out", metavar="FILE.npz", help="The weights after the last round.")
]
Method = Literal["fedavg", "fedsgd"]
MethodOption = Annotated[
    Method, typer.Option("--method", help="fedavg: means of weights; fedsgd: a step down the mean gradient.")
]
SitesRootOption = Annotated[
    Path | None,
    typer.Option("--tls-root", metavar="PEM", help="Let in only sites whose certificates this root signed."),
]
GoOnOption = Annotated[
    bool, typer.Option("--resume", help="Go on after the last whole round of one that broke off.")
]


@app.command("server", epilog=SERVER_EPILOG)
def server(  # noqa: PLR0917  typer gives each by its name
    sites: SitesOption,
    out: WeightsOption,
    address: Annotated[str, typer.Option("--address", metavar="HOST:PORT")] = "127.0.0.1:8470",
    rounds: Annotated[int, typer.Option("--rounds", min=1)] = 20,
    method: MethodOption = "fedavg",
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Of the steps of fedsgd.")] = 0.01,
    tls_certificate: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_root: SitesRootOption = None,
    insecure: InsecureOption = False,
    resume: GoOnOption = False,
    as_json: JsonOption = False,
) -> int:
    """Lead: wait for the sites, add up what they send, round by round. Needs no studies and no torch.

    After each round the weights are kept in FILE.npz.rounds; Ctrl-C or a site that fails costs one round.
    """
    from dicomnode.learn.federate import require_flower

    _require_pair(tls_certificate, tls_key)
    if tls_root is not None and tls_certificate is None:
        raise NodeError(USAGE, problem="--tls-root of a server goes with --tls-certificate and --tls-key")
    _require_closed(address, tls=tls_certificate is not None, insecure=insecure)
    if not learning_rate > 0 or learning_rate == float("inf"):
        raise NodeError(USAGE, problem=f"--learning-rate {learning_rate} cannot be: it is above 0")
    require_writable(out.parent)
    begun = _begun(out, method, rounds, resume=resume)
    require_flower()
    from dicomnode.learn.federate import Lead

    tls = _tls(tls_root, tls_certificate, tls_key)
    plan = Lead(address=address, sites=sites, rounds=rounds, method=method, learning_rate=learning_rate)
    return _lead(replace(plan, tls=tls, begun=begun), out, as_json=as_json)


def _lead(plan: Lead, out: Path, *, as_json: bool) -> int:
    """Lead all rounds that are not over, and write the weights."""
    from dicomnode.learn.federate import lead, weights_file

    # A service manager's stop is Ctrl-C: the sites are told
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with bars(quiet=as_json) as progress:

        def keep(kept: Kept) -> None:
            write_file(_rounds_of(out), kept.written())
            progress(_STAGE, len(kept.rounds), plan.rounds)

        progress(_COMING, 0, plan.sites)
        # Where only the last file is missing, the sites have their weights already
        if plan.begun is not None and len(plan.begun.rounds) == plan.rounds:
            led = plan.begun
        else:
            led = lead(plan, keep, lambda came: progress(_COMING, came, plan.sites))
    write_file(out, weights_file(led.weights))
    _rounds_of(out).unlink(missing_ok=True)
    _tell(led.rounds, plan.method, out, as_json=as_json)
    return EXIT_DONE


StudiesOption = Annotated[
    list[Path], typer.Option("--data", metavar="DIR", help="Studies with SEG or RTSTRUCT.", exists=True)
]
SharedRecipeOption = Annotated[
    Path, typer.Option("--recipe", metavar="FILE.toml", help="The recipe that all sites share.", exists=True)
]
StructureOption = Annotated[
    list[str], typer.Option("--structure", help="Name of what is learned; the same, in order, at all sites.")
]
ServerRootOption = Annotated[
    Path | None, typer.Option("--tls-root", metavar="PEM", help="Root of the server's certificate.")
]
FinishOption = Annotated[
    bool, typer.Option("--resume", help="Make the engine of rounds that are over, where that broke off.")
]


@app.command("client", epilog=CLIENT_EPILOG)
def client(  # noqa: PLR0917  typer gives each by its name
    server_address: Annotated[str, typer.Option("--server", metavar="HOST:PORT")],
    data: StudiesOption,
    recipe: SharedRecipeOption,
    structure: StructureOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the engine of this site.")],
    local_epochs: Annotated[int, typer.Option("--local-epochs", min=1, help="Epochs of a round.")] = 1,
    run: Annotated[Path | None, typer.Option("--run", metavar="DIR")] = None,
    split: Annotated[Path | None, typer.Option("--split", metavar="FILE")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", min=0, help="0: all.")] = 0,
    wait: Annotated[float, typer.Option("--wait", help="Seconds that the server is asked again.")] = 600.0,
    tls_root: ServerRootOption = None,
    tls_certificate: CertificateOption = None,
    tls_key: KeyOption = None,
    insecure: InsecureOption = False,
    resume: FinishOption = False,
    as_json: JsonOption = False,
) -> int:
    """Take part: train on this site's studies each round, and make an engine of the common weights.

    Names and shapes of weights, weights or gradients, counts of studies, losses, scores and a digest of the
    recipe leave the site, nothing else.
    Weights can still tell something of what they were trained on: train together with whom you trust.
    """
    _require_pair(tls_certificate, tls_key)
    if tls_certificate is not None and tls_root is None:
        raise NodeError(USAGE, problem="--tls-certificate of a site goes with --tls-root")
    _require_closed(server_address, tls=tls_root is not None, insecure=insecure)
    _start(out)
    tls = _tls(tls_root, tls_certificate, tls_key)
    order = replace(
        _order(data[0], out),
        device=device,
        threads=threads or usable_threads(),
        resume=resume,
        **_given(run=run, split=split),
    )
    asked = _Asked(data=data, recipe=recipe, structure=structure, local_epochs=local_epochs)
    joining = _Joining(server=server_address, tls=tls, wait_s=wait)
    return _join(asked, order, joining, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a site trains on."""

    data: list[Path]
    recipe: Path
    structure: list[str]
    local_epochs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joining:
    """Where it joins."""

    server: str
    tls: Tls | None
    wait_s: float


def _join(asked: _Asked, order: Order, joining: _Joining, *, as_json: bool) -> int:
    """Take part in all rounds, and make the engine."""
    from dicomnode.cli.train_result import print_trained, train_document
    from dicomnode.evaluate.data import read_labelled
    from dicomnode.learn import SegmentJob, read_recipe, trusted
    from dicomnode.learn.federate import finished_engine, join, made_engine, site_of

    how = read_recipe(asked.recipe, "segment", {})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with bars(quiet=as_json) as progress:
        known, not_verified = trusted(read_labelled(asked.data, None, progress), machine_labels=False)
        job: Any = SegmentJob.of(how, known, asked.structure)
        place = site_of(job, known, order, asked.local_epochs, progress)
        rounds: list[SiteRound] = []
        if place.rounds_are_over:
            trained = made_engine(place, progress)
        else:
            tell = _round_teller(progress)
            with place.alone():
                joined = join(place.site, joining.server, tls=joining.tls, wait_s=joining.wait_s, tell=tell)
            rounds = joined.rounds
            trained = finished_engine(place, joined.weights, rounds, progress)
    document = train_document(trained, known, not_verified)
    document["rounds"] = [{"loss": one.loss, "score": one.score} for one in rounds]
    if as_json:
        print_json(document)
    else:
        print_trained(document)
    return EXIT_PARTLY if document["left_out"] or document["not_judged"] else EXIT_DONE


def _start(out: Path) -> None:
    """Refuse at once what would be refused after hours."""
    from dicomnode.learn import require_training
    from dicomnode.learn.federate import require_flower

    if out.exists():
        raise NodeError(ENGINE_EXISTS, path=out, what="")
    require_writable(out.parent)
    require_training()
    require_flower()


def _order(data: Path, out: Path) -> Order:
    from dicomnode.learn import Order, Title

    return Order(
        out=out,
        run=out.with_name(f"{out.name}.training"),
        split=(data if data.is_dir() else data.parent) / "split.json",
        title=Title(name=out.name, version="1.0.0", title=f"{out.name} (trained at several sites)"),
        made_at=datetime.now(UTC),
    )


def _given(**options: Path | None) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _round_teller(progress: Bars) -> Any:
    """The client is not told how many rounds there are: the bar only counts."""
    return lambda number: progress(_STAGE, number, number + 1)


def _require_closed(address: str, *, tls: bool, insecure: bool) -> None:
    """Raise NodeError: USAGE for an address that is none, FEDERATED_OPEN for one in the open without TLS."""
    from dicomnode.learn.federate import host_and_port

    try:
        host, _ = host_and_port(address)
    except ValueError as error:
        raise NodeError(USAGE, problem=str(error)) from error
    if not (tls or insecure or _is_this_machine(host)):
        raise NodeError(FEDERATED_OPEN, address=address)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_pair(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise NodeError(USAGE, problem="--tls-certificate and --tls-key go together")


def _tls(root: Path | None, certificate: Path | None, key: Path | None) -> Tls | None:
    if root is None and certificate is None:
        return None
    from dicomnode.learn.federate import Tls

    read = (None if path is None else _read(path) for path in (root, certificate, key))
    return Tls(**dict(zip(("root", "certificate", "key"), read, strict=True)))


def _rounds_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.rounds")


def _begun(out: Path, method: str, rounds: int, *, resume: bool) -> Kept | None:
    """Return the rounds that were kept; NodeError: FEDERATED_BEGUN without --resume, FEDERATED_KEPT."""
    from dicomnode.learn.federate import read_kept

    path = _rounds_of(out)
    kept = read_kept(path)
    if kept is None:
        return None
    if not resume:
        raise NodeError(FEDERATED_BEGUN, path=path, rounds=len(kept.rounds))
    if kept.method != method or len(kept.rounds) > rounds:
        problem = f"they are {len(kept.rounds)} of {kept.method}, and {rounds} of {method} are wanted"
        raise NodeError(FEDERATED_KEPT, path=path, problem=problem)
    return kept


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NodeError(FILE_UNREADABLE, path=path, error=error.strerror or error) from error


def _tell(done: Sequence[Round], method: str, out: Path, *, as_json: bool) -> None:
    if as_json:
        rounds = [_row(one) for one in done]
        print_json({"schema": 1, "method": method, "weights": str(out), "rounds": rounds})
        return
    rows = [(one.number, one.samples, one.loss, one.score) for one in done]
    print_table("Rounds", ("round", "studies", "loss", "score"), rows)
    console.print(f"The weights lie in {out}; each site has made its engine of them.", markup=False)


def _row(one: Round) -> dict[str, Any]:
    return {"round": one.number, "studies": one.samples, "loss": one.loss, "score": one.score}
