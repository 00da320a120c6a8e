"""What dicomnode.toml can say: one frozen tree, units in the names, every default visible here.

Each field carries its line of documentation (`doc`), which `dicomnode init` writes as the comment above the
key and the reference page prints. What a value must satisfy stands beside it (`rule`), and is checked
by `dicomnode.settings.reader` for all keys at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from dicomnode.settings.keys import (
    AE_TITLE,
    AT_LEAST_ONE,
    CHARACTER_SET,
    CREDENTIAL_OR_EMPTY,
    DEVICES,
    NAME,
    NOT_EMPTY,
    NOT_NEGATIVE,
    PORT_OR_ANY,
    PORT_OR_NONE,
    POSITIVE,
    SERVER_OR_EMPTY,
    Rule,
    key,
    needed,
)
from dicomnode.settings.sources import ExpectSettings, PriorsSettings, QuerySettings
from dicomnode.settings.targets import DestinationSettings

SCHEMA: Final = 1

RuntimeName = Literal["auto", "tensorrt", "tensorrt-rtx", "triton", "openvino", "onnxruntime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """[node]: who this node is."""

    ae_title: str = key("DICOMNODE", "AE title of this node, as its peers must call it.", AE_TITLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveSettings:
    """[receive]: the listening side."""

    address: str = key("0.0.0.0", "Address to listen on; 127.0.0.1 for this machine only.", NOT_EMPTY)  # noqa: S104
    port: int = key(11112, "Port to listen on (DICOM without TLS).", PORT_OR_ANY)
    also_called: tuple[str, ...] = key(
        (), "Further AE titles that peers may call this node by, for [[rule]] to tell apart."
    )
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
    notices: bool = key(
        True,
        "Whether performed procedure steps (MPPS) and Instance Availability Notifications are taken: they say "
        "which images a study has.",
    )
    commitment: Literal["refuse", "report"] = key(
        "refuse",
        "Storage commitment, asked of this node: refuse; report: say truthfully what lies on its disk. A sender may "
        "delete what was reported, and this node is no archive.",
    )
    storage_classes: tuple[str, ...] = key(
        (), "SOP Class UIDs or keywords accepted in addition to the node's own list (see README)."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """[[sender]]: a peer that may send."""

    ae_title: str = needed("Calling AE title of the peer.", AE_TITLE)
    address: str = key("", "Its IP address or network (10.1.2.0/24); empty: any.")
    commitment_port: int = key(
        0,
        "Port at the asking address that takes storage commitment reports; 0: none are sent.",
        PORT_OR_NONE,
    )


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
        60.0,
        "A study is complete when nothing new of it has come for so long, and no open association brings it.",
        POSITIVE,
    )
    longest_wait_s: float = key(
        3600.0,
        "What is known to be missing, or held by an open association, is waited for so long after the last"
        " image; then the study is closed, and `incomplete` decides on one that lacks something.",
        POSITIVE,
    )
    incomplete: Literal["analyse", "report", "hold"] = key(
        "analyse",
        "A study that is still incomplete then: analyse: what is here, and results say what is missing; report: results "
        "say why it was not analysed; hold: it waits for `dicomnode retry`.",
    )
    decoders: int = key(
        0,
        "Processes that decode images, for each worker; 0: one for each of its cores, at most 16.",
        NOT_NEGATIVE,
    )
    decoder_memory_gb: float = key(2.0, "Most memory that decoding an image may take, in GB.", POSITIVE)
    decoder_time_s: float = key(60.0, "Decoding an image that takes longer is ended.", POSITIVE)


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
class RuleSettings:
    """[[rule]]: what this site wants of some studies. The first rule that fits a study is the one that decides.

    A rule fits when all of its conditions hold; one without conditions fits all studies. A condition on a
    list holds when any image of the study has any of its values, where * stands for any text.
    """

    name: str = key(
        "", "A name for people; empty: its number.", Rule("a name", lambda t: not t or NAME.holds(t))
    )
    calling: tuple[str, ...] = key((), "Condition: AE titles of the senders, as CT1 or CT*.")
    called: tuple[str, ...] = key(
        (), "Condition: AE titles that they called; further ones of this node stand in [receive] also_called."
    )
    station: tuple[str, ...] = key((), "Condition: Station Names (0008,1010) of the scanners.")
    modality: tuple[str, ...] = key((), "Condition: modalities in the study, as CT.")
    engines: tuple[str, ...] = key((), "Only these engines may run; empty: all.")
    never: tuple[str, ...] = key((), "These engines do not run.")
    priority: Literal["stat", "routine", "low"] = key(
        "routine", "stat: before all others, as soon as the work at hand is done; routine; low."
    )
    destinations: tuple[str, ...] = key((), "Results go to these destinations only; empty: to all.")
    mode: Literal["", "live", "shadow", "off"] = key(
        "", "As of [[engine]]: live, shadow, off, for engines that are not off there; empty: as there."
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
class Hl7Settings:
    """[hl7]: messages that say whose a study is (ADT^A08 update, ADT^A40 merge; MLLP over TCP, no TLS)."""

    port: int = key(0, "Port to listen on; 0: no messages are taken.", PORT_OR_NONE)
    address: str = key("127.0.0.1", "Address to listen on; 127.0.0.1 for this machine only.", NOT_EMPTY)
    senders: tuple[str, ...] = key(
        (), "IP addresses and networks that may send; they decide whose results are."
    )
    character_set: str = key("8859/1", "Of messages that do not say it (MSH-18).", CHARACTER_SET)
    timeout_s: float = key(10.0, "Longest time for a message to be whole.", POSITIVE)
    maximum_message_kb: int = key(256, "Longest message, in kB.", AT_LEAST_ONE)


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
    query: tuple[QuerySettings, ...] = ()
    priors: PriorsSettings = field(default_factory=PriorsSettings)
    expect: tuple[ExpectSettings, ...] = ()
    store: StoreSettings = field(default_factory=StoreSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    assemble: AssembleSettings = field(default_factory=AssembleSettings)
    analyse: AnalyseSettings = field(default_factory=AnalyseSettings)
    engine: tuple[EngineSettings, ...] = ()
    rule: tuple[RuleSettings, ...] = ()
    report: ReportSettings = field(default_factory=ReportSettings)
    destination: tuple[DestinationSettings, ...] = ()
    hl7: Hl7Settings = field(default_factory=Hl7Settings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    log: LogSettings = field(default_factory=LogSettings)

    @property
    def journal_url(self) -> str:
        """URL of the journal: what is configured, else SQLite beside the store."""
        return self.journal.url or f"sqlite:///{self.store.path}/journal.sqlite"
