"""What dicomnode.toml can say: one frozen tree, units in the names, every default visible here.

Each field carries its line of documentation (`doc`), which `dicomnode init` writes as the comment above the
key and the reference page prints. What a value must satisfy stands beside it (`rule`), and is checked
by `dicomnode.settings.reader` for all keys at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

SCHEMA: Final = 1

RuntimeName = Literal["auto", "tensorrt", "tensorrt-rtx", "triton", "openvino", "onnxruntime"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a value, with the words for what was expected."""

    expected: str
    holds: Callable[[Any], bool]


def key(default: Any, doc: str, rule: Rule | None = None) -> Any:
    """Declare a key of dicomnode.toml with its default, its one line of documentation and its rule."""
    return field(default=default, metadata={"doc": doc, "rule": rule})


def needed(doc: str, rule: Rule | None = None) -> Any:
    """Declare a key that has no default."""
    return field(metadata={"doc": doc, "rule": rule})


def _is_ae_title(text: str) -> bool:
    # PS3.5 6.2: AE is at most 16 characters of the default repertoire without backslash and control
    # characters, leading and trailing spaces not significant
    return 0 < len(text.strip()) <= 16 and all(" " <= c <= "~" and c != "\\" for c in text)


AE_TITLE: Final = Rule("1 to 16 printable ASCII characters without backslash", _is_ae_title)
PORT: Final = Rule("a port number, 1 to 65535", lambda n: 1 <= n <= 65535)
PORT_OR_ANY: Final = Rule("a port number, 0 (any free one) to 65535", lambda n: 0 <= n <= 65535)
POSITIVE: Final = Rule("a number above 0", lambda n: n > 0)
NOT_NEGATIVE: Final = Rule("0 or more", lambda n: n >= 0)
AT_LEAST_ONE: Final = Rule("1 or more", lambda n: n >= 1)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 64 and all(c.isalnum() or c in "-_." for c in text)


NAME: Final = Rule("1 to 64 letters, digits, '-', '_' or '.'", _is_name)
CREDENTIAL_OR_EMPTY: Final = Rule(
    "credential: and a name, or nothing",
    lambda text: not text or (text.startswith("credential:") and _is_name(text.partition(":")[2])),
)
NOT_EMPTY: Final = Rule("some text", lambda text: bool(text.strip()))


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain and port_is_right


SERVER_OR_EMPTY: Final = Rule(
    "http:// or https://, a host and perhaps a port, or nothing", lambda url: not url or _is_server(url)
)


def _are_devices(devices: tuple[str, ...]) -> bool:
    named = [one for one in devices if one != "cpu"]
    each = all(one.startswith(("GPU-", "MIG-")) for one in named)
    return devices == ("auto",) or (bool(devices) and each and len(set(named)) == len(named))


DEVICES: Final = Rule(
    'a list: "auto" alone, or GPU-… and MIG-… as `nvidia-smi -L` shows them, each once, and "cpu"',
    _are_devices,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """[node]: who this node is."""

    ae_title: str = key("DICOMNODE", "AE title of this node, as its peers must call it.", AE_TITLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveSettings:
    """[receive]: the listening side."""

    address: str = key("0.0.0.0", "Address to listen on; 127.0.0.1 for this machine only.", NOT_EMPTY)  # noqa: S104
    port: int = key(11112, "Port to listen on (DICOM without TLS).", PORT_OR_ANY)
    unknown_senders: Literal["deny", "accept"] = key(
        "deny", "Whether AE titles without a [[sender]] may send: deny or accept."
    )
    maximum_associations: int = key(
        64, "Associations at a time; more are rejected for the moment.", AT_LEAST_ONE
    )
    maximum_pdu: int = key(
        131072, "Longest PDU announced, in bytes.", Rule("4096 to 1048576", lambda n: 4096 <= n <= 1048576)
    )
    maximum_object_gb: float = key(4.0, "Largest instance accepted, in GB.", POSITIVE)
    network_timeout_s: float = key(60.0, "An association without a byte for so long is ended.", POSITIVE)
    association_timeout_s: float = key(10.0, "Longest time for an association request to be whole.", POSITIVE)
    storage_classes: tuple[str, ...] = key(
        (), "SOP Class UIDs or keywords accepted in addition to the node's own list (see README)."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """[[sender]]: a peer that may send."""

    ae_title: str = needed("Calling AE title of the peer.", AE_TITLE)
    address: str = key("", "Its IP address or network (10.1.2.0/24); empty: any.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """[store]: where the bytes are."""

    path: Path = key(Path("/var/lib/dicomnode"), "Folder of the store, on a local disk.")
    reserve_gb: float = key(5.0, "Free space below which nothing more is accepted (0xA700).", NOT_NEGATIVE)
    plans: Path | None = key(
        None,
        "Folder of the plans that GPU runtimes have compiled; empty: `plans` in the folder of the store.",
    )
    plan_key: str = key(
        "",
        "What plans are signed with: credential:NAME (systemd LoadCredential=); empty: a key of its own.",
        CREDENTIAL_OR_EMPTY,
    )

    @property
    def plans_path(self) -> Path:
        """Folder of the plans."""
        return self.plans or self.path / "plans"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """[journal]: where the node writes what it knows."""

    url: str = key("", "SQLAlchemy URL; empty: SQLite in the folder of the store.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembleSettings:
    """[assemble]: from instances to volumes."""

    quiet_time_s: float = key(
        60.0, "A study is complete when nothing new of it has come for so long.", POSITIVE
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonSettings:
    """[analyse.triton]: a Triton Inference Server that runs networks.

    Voxels leave this machine, and the numbers of attributes (age, sex) that an engine takes; headers do not.
    """

    url: str = key(
        "", "Where the server is, as https://gpu-farm:8000; empty: there is none.", SERVER_OR_EMPTY
    )
    timeout_s: float = key(300.0, "Longest wait for an answer.", POSITIVE)
    ca_file: Path | None = key(
        None, "Certificates that the server's own is checked against; empty: those of the system."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyseSettings:
    """[analyse]: the workers."""

    runtime: RuntimeName = key(
        "auto",
        "What runs the networks; auto: the best of tensorrt, tensorrt-rtx, triton (where [analyse.triton] has a url), "
        "openvino, onnxruntime that works here and agrees with onnxruntime.",
    )
    fallback: bool = key(
        False, "Whether another runtime takes over from the one named in `runtime` when that one fails."
    )
    devices: tuple[str, ...] = key(
        ("auto",),
        "One worker for each: GPU-… or MIG-… as `nvidia-smi -L` shows them, cpu; auto: every GPU that a runtime "
        "here can use, else the CPU.",
        DEVICES,
    )
    threads: int = key(0, "Threads for one analysis; 0: all cores, shared by the workers.", NOT_NEGATIVE)
    time_limit_s: float = key(
        1800.0, "An analysis that takes longer is ended and counted as failed.", POSITIVE
    )
    load_limit_s: float = key(
        600.0,
        "Loading and trying an engine that takes longer is ended; the third time it is left out.",
        POSITIVE,
    )
    ahead_gb: float = key(
        1.0,
        "Memory for slices that are decoded while their study still arrives; 0: none are.",
        NOT_NEGATIVE,
    )
    triton: TritonSettings = field(default_factory=TritonSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """[[engine]]: an engine that may run."""

    name: str = needed("Name of a shipped engine, or of the one in `path`.", NAME)
    path: Path | None = key(None, "Folder of the engine package; empty: a shipped one.")
    owners: tuple[str, ...] = key(
        (), "Users who may own what lies in `path`, besides root and the user of the service."
    )
    mode: Literal["live", "shadow", "off"] = key(
        "live", "live: results are sent; shadow: results are kept, not sent; off."
    )
    calibration: Path | None = key(
        None, "Folder of .npz files to calibrate int8 and fp8 with; empty: seeded inputs."
    )
    runtime: Literal["", "auto", "tensorrt", "tensorrt-rtx", "triton", "openvino", "onnxruntime"] = key(
        "",
        "As in [analyse]: auto, tensorrt, tensorrt-rtx, triton, openvino, onnxruntime; empty: as there.",
    )
    fallback: bool = key(False, "As [analyse] fallback, for the runtime that is named here.")
    precision: Literal["", "fp32", "fp16", "bf16", "int8", "fp8"] = key(
        "",
        "Arithmetic: fp32, fp16, bf16, int8, fp8; empty: the best liked of engine.toml that agrees.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """[report]: the result objects."""

    series_number: int = key(
        9000,
        "Series Number of the first result series; further ones count on.",
        Rule("1 to 2147483000", lambda n: 0 < n <= 2147483000),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSettings:
    """[[destination]]: an archive that results go to."""

    name: str = needed("A name for this destination, for people.", NAME)
    ae_title: str = needed("AE title of the archive.", AE_TITLE)
    host: str = needed("Host name or IP address.", NOT_EMPTY)
    port: int = key(104, "Port.", PORT)
    objects: tuple[Literal["SEG", "SR"], ...] = key(("SEG", "SR"), "Kinds of objects that it gets.")
    timeout_s: float = key(30.0, "Longest wait for an answer.", POSITIVE)
    retry_first_s: float = key(10.0, "Wait before the second try; doubled each time.", POSITIVE)
    retry_longest_s: float = key(1800.0, "Longest wait between two tries; the node never gives up.", POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """[serve]: the processes."""

    stop_timeout_s: float = key(60.0, "How long a stop waits for running work.", POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """[log]: what is written to standard error, never a patient's data."""

    level: Literal["debug", "info", "warning", "error"] = key("info", "Least severe line that is written.")
    format: Literal["auto", "json", "text"] = key(
        "auto", "json: one object a line; text: for people; auto: text on a terminal, else json."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of dicomnode.toml."""

    schema: int = key(SCHEMA, "Version of this file's form.", Rule("1", lambda n: n == SCHEMA))
    node: NodeSettings = field(default_factory=NodeSettings)
    receive: ReceiveSettings = field(default_factory=ReceiveSettings)
    sender: tuple[SenderSettings, ...] = ()
    store: StoreSettings = field(default_factory=StoreSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    assemble: AssembleSettings = field(default_factory=AssembleSettings)
    analyse: AnalyseSettings = field(default_factory=AnalyseSettings)
    engine: tuple[EngineSettings, ...] = ()
    report: ReportSettings = field(default_factory=ReportSettings)
    destination: tuple[DestinationSettings, ...] = ()
    serve: ServeSettings = field(default_factory=ServeSettings)
    log: LogSettings = field(default_factory=LogSettings)

    @property
    def journal_url(self) -> str:
        """URL of the journal: what is configured, else SQLite beside the store."""
        return self.journal.url or f"sqlite:///{self.store.path}/journal.sqlite"
