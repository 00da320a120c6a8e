"""`dicomnode federate server|client`: sites train one network together; no image leaves its site."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
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
    FEDERATED_OPEN,
    FILE_UNREADABLE,
    USAGE,
    NodeError,
)

if TYPE_CHECKING:
    from dicomnode.learn import Order
    from dicomnode.learn.federate.flower_server import Led, Round

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
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")

app = typer.Typer(
    help="Train one network at several sites; weights and counts travel, images stay.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Without TLS beyond this machine, where a tunnel encrypts.")
]


@app.command("server", epilog=SERVER_EPILOG)
def server(  # noqa: PLR0917  typer gives each by its name
    sites: Annotated[
        int, typer.Option("--sites", min=1, help="How many sites take part; all are waited for.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.npz", help="The weights after the last round.")],
    address: Annotated[str, typer.Option("--address", metavar="HOST:PORT")] = "127.0.0.1:8470",
    rounds: Annotated[int, typer.Option("--rounds", min=1)] = 20,
    method: Annotated[
        Literal["fedavg", "fedsgd"],
        typer.Option("--method", help="fedavg: means of weights; fedsgd: a step down the mean gradient."),
    ] = "fedavg",
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Of the steps of fedsgd.")] = 0.01,
    tls_root: Annotated[Path | None, typer.Option("--tls-root", metavar="PEM")] = None,
    tls_certificate: Annotated[Path | None, typer.Option("--tls-certificate", metavar="PEM")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="PEM")] = None,
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
) -> int:
    """Lead: wait for the sites, add up what they send, round by round. Needs no studies and no torch."""
    from dicomnode.learn.federate import require_flower

    given = (tls_root, tls_certificate, tls_key)
    if any(given) != all(given):
        raise NodeError(USAGE, problem="TLS needs all of --tls-root, --tls-certificate and --tls-key")
    _require_closed(address, tls=tls_root is not None, insecure=insecure)
    if learning_rate <= 0:
        raise NodeError(USAGE, problem=f"--learning-rate {learning_rate} cannot be: it is above 0")
    require_writable(out.parent)
    require_flower()
    from dicomnode.learn.federate import Lead, lead

    root, certificate, key = (None if path is None else _read(path) for path in given)
    certificates = None if root is None or certificate is None or key is None else (root, certificate, key)
    plan = Lead(
        address=address,
        sites=sites,
        rounds=rounds,
        method=method,
        learning_rate=learning_rate,
        certificates=certificates,
    )
    with bars(quiet=as_json) as progress:
        progress(_STAGE, 0, rounds)
        led = lead(plan, lambda done: progress(_STAGE, done.number, rounds))
    _save(led, out)
    _tell(led, method, out, as_json=as_json)
    return EXIT_DONE


@app.command("client", epilog=CLIENT_EPILOG)
def client(  # noqa: PLR0917  typer gives each by its name
    server_address: Annotated[str, typer.Option("--server", metavar="HOST:PORT")],
    data: Annotated[
        list[Path], typer.Option("--data", metavar="DIR", help="Studies with SEG or RTSTRUCT.", exists=True)
    ],
    recipe: Annotated[
        Path,
        typer.Option("--recipe", metavar="FILE.toml", help="The recipe that all sites share.", exists=True),
    ],
    structure: Annotated[
        list[str],
        typer.Option("--structure", help="Name of what is learned; the same, in order, at all sites."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the engine of this site.")],
    local_epochs: Annotated[int, typer.Option("--local-epochs", min=1, help="Epochs of a round.")] = 1,
    run: Annotated[Path | None, typer.Option("--run", metavar="DIR")] = None,
    split: Annotated[Path | None, typer.Option("--split", metavar="FILE")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", min=0, help="0: all.")] = 0,
    wait: Annotated[float, typer.Option("--wait", help="Seconds that the server is asked again.")] = 600.0,
    tls_root: Annotated[
        Path | None, typer.Option("--tls-root", metavar="PEM", help="Root of the server's certificate.")
    ] = None,
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
) -> int:
    """Take part: train on this site's studies each round, and make an engine of the common weights.

    Names and shapes of weights, weights or gradients, counts, losses and scores leave the site, nothing else.
    Weights can still tell something of what they were trained on: train together with whom you trust.
    """
    _require_closed(server_address, tls=tls_root is not None, insecure=insecure)
    _start(out)
    from dicomnode.cli.train_result import print_trained, train_document
    from dicomnode.evaluate.data import read_labelled
    from dicomnode.learn import SegmentJob, read_recipe, trusted
    from dicomnode.learn.federate import finished_engine, join, site_of

    how = read_recipe(recipe, "segment", {})
    order = replace(
        _order(data[0], out),
        device=device,
        threads=threads or usable_threads(),
        **_given(run=run, split=split),
    )
    with bars(quiet=as_json) as progress:
        known, not_verified = trusted(read_labelled(data, None, progress), machine_labels=False)
        job: Any = SegmentJob.of(how, known, structure)
        place = site_of(job, known, order, local_epochs, progress)
        root = None if tls_root is None else _read(tls_root)
        joined = join(place.site, server_address, root=root, wait_s=wait, tell=_round_teller(progress))
        trained = finished_engine(place, joined.weights, joined.rounds, progress)
    document = train_document(trained, known, not_verified)
    document["rounds"] = [{"loss": loss, "score": score} for loss, score in joined.rounds]
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
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise NodeError(USAGE, problem=f"{address!r} is not of the form HOST:PORT")
    if not (tls or insecure or host in _LOOPBACK):
        raise NodeError(FEDERATED_OPEN, address=address)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NodeError(FILE_UNREADABLE, path=path, error=error.strerror or error) from error


def _save(led: Led, out: Path) -> None:
    import numpy as np

    content = io.BytesIO()
    np.savez(content, **led.weights)  # type: ignore[arg-type, unused-ignore]  # names of arrays are keywords
    write_file(out, content.getvalue())


def _tell(led: Led, method: str, out: Path, *, as_json: bool) -> None:
    if as_json:
        rounds = [_row(one) for one in led.rounds]
        print_json({"schema": 1, "method": method, "weights": str(out), "rounds": rounds})
        return
    rows = [(one.number, one.samples, one.loss, one.score) for one in led.rounds]
    print_table("Rounds", ("round", "studies", "loss", "score"), rows)
    console.print(f"The weights lie in {out}; each site has made its engine of them.", markup=False)


def _row(one: Round) -> dict[str, Any]:
    return {"round": one.number, "studies": one.samples, "loss": one.loss, "score": one.score}
