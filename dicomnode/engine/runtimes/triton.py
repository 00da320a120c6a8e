"""Triton, for sites with a farm of GPUs: networks run on an inference server (KServe protocol, version 2).

The server holds the networks itself; each stands there under a name with its digest in it
(`dicomnode engine export` writes the folder), so that no other version can answer. What the server
computes passes the same gates as any runtime here. Voxels leave this machine, and the numbers of attributes
(age, sex) that an engine's "tags" input takes; headers do not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Thread, current_thread
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from numpy.typing import NDArray

from dicomnode.device import Buffer, Device
from dicomnode.engine.onnx_file import check_onnx
from dicomnode.engine.onnx_wire import UnsafeNetworkError
from dicomnode.engine.runtimes.contract import Capability, Network, Reason, TensorSpec
from dicomnode.engine.runtimes.host_session import HostSession

_MISSING: Final = "its client is not installed: pip install 'dicomnode[triton]'"
_DTYPES: Final = {
    "FP32": "float32",
    "FP16": "float16",
    "FP64": "float64",
    "INT64": "int64",
    "INT32": "int32",
    "UINT8": "uint8",
    "BOOL": "bool",
}
_WORDS: Final = {name: word for word, name in _DTYPES.items()}
_DIGITS: Final = 12  # of the digest, in a model's name: as many as people compare
_PROBE_S: Final = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonServer:
    """Where the server is. ca_file: certificates that an https server's own is checked against."""

    url: str
    timeout_s: float = 300.0
    ca_file: Path | None = None

    @property
    def place(self) -> str:
        """Host and port."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 8000)}"

    @property
    def is_secure(self) -> bool:
        """Whether it is spoken to over TLS."""
        return urlsplit(self.url).scheme == "https"


def model_name(network: Network) -> str:
    """Return the name that a network has on the server: engine, network, and first digits of its SHA-256."""
    digest = hashlib.sha256(network.content).hexdigest()[:_DIGITS]
    return f"{network.engine.split()[0]}.{network.file.removesuffix('.onnx')}.{digest}"


class TritonRuntime:
    """An inference server."""

    name = "triton"

    def __init__(self, server: TritonServer) -> None:
        self._server = server

    def probe(self, threads: int = 0) -> Capability | Reason:
        """Ask the server what it is; nothing of it runs in this process that could end it."""
        del threads
        try:
            client = _Client(self._server, timeout_s=_PROBE_S)
            told = client.ask(lambda one: one.get_server_metadata())
            client.close()
        except _UnreachableError as error:
            return Reason(self.name, f"{self._server.place}: {error}")
        except ImportError:
            return Reason(self.name, _MISSING)
        version = f"{told.get('version') or 'of unknown version'}"
        name = f"{told.get('name') or 'server'} at {self._server.place}"
        device = Device(name=name, kind="remote", threads=1)
        return Capability(self.name, version, device, ("fp32",))

    def load(self, network: Network, capability: Capability) -> TritonSession:
        """Find the network on the server; raises NodeError(NETWORK_FAILED) when it is not ready there."""
        return TritonSession(network, capability, self._server)


class TritonSession(HostSession):
    """A network that stands ready on the server (see `Session`)."""

    def __init__(self, network: Network, capability: Capability, server: TritonServer) -> None:
        super().__init__(network, capability)
        self._server = server
        self._model = model_name(network)
        try:
            check_onnx(network.content)
        except UnsafeNetworkError as error:
            raise self._failure(str(error)) from error
        self._clients: dict[Thread, _Client] = {}
        if not self._ask(lambda client: client.is_model_ready(self._model)):
            raise self._failure(
                f"the server has no model {self._model!r} that is ready; `dicomnode engine export` writes it"
            )
        told = self._ask(lambda client: client.get_model_metadata(self._model))
        self._inputs = self._specs(told["inputs"])
        self._outputs = self._specs(told["outputs"])

    @property
    def provenance(self) -> Mapping[str, str]:
        """Which model of which server."""
        return {"server": self._server.place, "model": self._model}

    def _compute(self, inputs: Mapping[str, Buffer]) -> dict[str, NDArray[Any]]:
        return self._ask(lambda client: self._infer(client, inputs))

    def _let_go(self) -> None:
        """Close the connections; the model stays on the server, for others."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _infer(self, client: Any, inputs: Mapping[str, Buffer]) -> dict[str, NDArray[Any]]:
        from tritonclient.http import InferInput, InferRequestedOutput  # noqa: PLC0415  as `_Client`

        given = []
        for name, buffer in inputs.items():
            one = InferInput(name, list(buffer.shape), _WORDS[buffer.dtype.name])
            one.set_data_from_numpy(buffer.host(), binary_data=True)
            given.append(one)
        wanted = [InferRequestedOutput(spec.name, binary_data=True) for spec in self._outputs]
        result = client.infer(self._model, given, outputs=wanted)
        # Copies: what the library gives is a view on what came, and not to be written to
        return {spec.name: result.as_numpy(spec.name).copy() for spec in self._outputs}

    def _ask(self, question: Callable[[Any], T]) -> T:
        # The client's connections belong to the thread that made them, not to one that has its number later
        thread = current_thread()
        try:
            if thread not in self._clients:
                self._forget_ended_threads()
                self._clients[thread] = _Client(self._server, timeout_s=self._server.timeout_s)
            return self._clients[thread].ask(question)
        except _UnreachableError as error:
            raise self._failure(f"{self._server.place}: {error}") from error

    def _forget_ended_threads(self) -> None:
        """Close connections that nobody can use any more; left to the collector they end at any moment."""
        for thread in [one for one in list(self._clients) if not one.is_alive()]:
            client = self._clients.pop(thread, None)
            if client is not None:
                client.close()

    def _specs(self, told: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
        specs = []
        for one in told:
            if one["datatype"] not in _DTYPES:
                raise self._failure(f"{one['name']} has the type {one['datatype']}, which is not supported")
            shape = tuple(n if n >= 0 else None for n in map(int, one["shape"]))
            specs.append(TensorSpec(one["name"], shape, _DTYPES[one["datatype"]]))
        return tuple(specs)


class _UnreachableError(Exception):
    """The server did not answer, or refused; the text says what it said."""


class _Client:
    """The library's client, with its many errors made one."""

    def __init__(self, server: TritonServer, timeout_s: float) -> None:
        from tritonclient.http import InferenceServerClient  # noqa: PLC0415  an extra

        options = {"ca_certs": str(server.ca_file)} if server.ca_file else None
        self._client: Any = InferenceServerClient(
            server.place,
            connection_timeout=min(timeout_s, _PROBE_S),
            network_timeout=timeout_s,
            ssl=server.is_secure,
            ssl_options=options,
        )

    def ask(self, question: Callable[[Any], T]) -> T:
        """Put a question to the server; raises _UnreachableError."""
        import gevent  # noqa: PLC0415  comes with the client
        from tritonclient.utils import InferenceServerException  # noqa: PLC0415

        try:
            return question(self._client)
        except InferenceServerException as error:
            raise _UnreachableError(error.message() or "it refused without a word") from error
        except (OSError, HTTPException, ValueError, gevent.Timeout) as error:
            raise _UnreachableError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
