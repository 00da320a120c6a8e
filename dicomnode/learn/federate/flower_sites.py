"""Who is let in: so many sites, each once; none comes later, and when one leaves it is over for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import grpc
from flwr.proto.transport_pb2_grpc import FlowerServiceServicer
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.superlink.fleet.grpc_bidi.grpc_bridge import GrpcBridge, GrpcBridgeClosed, ResWrapper
from flwr.server.superlink.fleet.grpc_bidi.grpc_client_proxy import GrpcClientProxy

_LONGEST: Final = 100
Came = Callable[[int], None]


class Sites(ClientManager):  # type: ignore[misc, unused-ignore]  # Flower may not be installed
    """The sites of one training, by name. came: is called with how many are there.

    why: they were sent away; "" where they were not, or where all was done.
    """

    def __init__(self, count: int, came: Came) -> None:
        self.count, self.came = count, came
        self.why = ""
        self._sites: dict[str, Any] = {}
        self._begun = self._ended = False
        self._changed = threading.Condition()

    def refusal(self, site: Any, *, proven: bool = False) -> str:
        """Take a site in and return "", or return why it is not.

        proven: its name is that of a certificate, which is one site; else several may have one address,
        behind a proxy, and they are numbered.
        """
        with self._changed:
            if self._ended or self._begun or len(self._sites) >= self.count:
                return f"all {self.count} sites are there, and the training has begun"
            if proven and site.cid in self._sites:
                return f"site {site.cid} is there already"
            address, number = site.cid, 1
            while site.cid in self._sites:
                number += 1
                site.cid = f"{address} ({number})"
            self._sites[site.cid] = site
            self.came(len(self._sites))
            self._changed.notify_all()
        return ""

    def register(self, client: ClientProxy) -> bool:
        """Tell whether a site was taken in."""
        return not self.refusal(client)

    def unregister(self, client: ClientProxy) -> None:
        """Note that a site has left: before the first round it may come again, then all are sent away."""
        with self._changed:
            if client not in self._sites.values() or self._ended:
                return
            if not self._begun:
                del self._sites[client.cid]
                self.came(len(self._sites))
                self._changed.notify_all()
                return
        self.end(f"site {client.cid} has left")

    def end(self, why: str = "") -> None:
        """Send all away; whoever waits for an answer of a site gets none. Only the first reason counts."""
        with self._changed:
            if self._ended:
                return
            self._ended, self.why = True, why
            there = list(self._sites.values())
            self._changed.notify_all()
        for site in there:
            site.bridge.close()

    def num_available(self) -> int:
        """Return how many are there."""
        return len(self._sites)

    def all(self) -> dict[str, ClientProxy]:
        """Return them by name."""
        return dict(self._sites)

    def wait_for(self, num_clients: int, timeout: float | None = None) -> bool:
        """Wait until so many are there, without end unless told otherwise; from then on nobody is let in."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._sites) >= num_clients, timeout)
            self._begun = self._begun or len(self._sites) >= self.count
            return not self._ended and len(self._sites) >= num_clients

    def sample(
        self, num_clients: int, min_num_clients: int | None = None, criterion: Any = None
    ) -> list[ClientProxy]:
        """Return all sites, in the order of their names; none where they were sent away."""
        del criterion
        self.wait_for(min_num_clients or num_clients)
        with self._changed:
            return [] if self._ended else [self._sites[name] for name in sorted(self._sites)]


class Door(FlowerServiceServicer):  # type: ignore[misc, unused-ignore]  # as above
    """Flower's service: a stream for each site, questions out, answers in."""

    def __init__(self, sites: Sites) -> None:
        self.sites = sites

    def Join(self, request_iterator: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802  of gRPC
        """Pass on until one of both sides ends it."""
        bridge = GrpcBridge()
        name, proven = name_of(context)
        site = GrpcClientProxy(cid=name, bridge=bridge)
        refusal = self.sites.refusal(site, proven=proven)
        if refusal:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, refusal)

        def left() -> None:
            self.sites.unregister(site)
            bridge.close()

        if not context.add_callback(left):  # it has left already
            left()
        # Of its own, so that a site that trains can be told at once that another has left
        threading.Thread(target=_hear, args=(request_iterator, bridge, left), daemon=True).start()
        with suppress(GrpcBridgeClosed):
            for asked in bridge.ins_wrapper_iterator():
                yield asked.server_message
        if self.sites.why:
            context.abort(grpc.StatusCode.ABORTED, self.sites.why)


def _hear(answers: Iterator[Any], bridge: GrpcBridge, left: Callable[[], None]) -> None:
    """Pass answers on; who speaks without being asked, or hangs up, has left."""
    with suppress(grpc.RpcError, GrpcBridgeClosed, ValueError):
        for answer in answers:
            bridge.set_res_wrapper(ResWrapper(client_message=answer))
    left()


def name_of(context: Any) -> tuple[str, bool]:
    """Return the name in a site's certificate, or else its address; and whether it is proven."""
    names = context.auth_context().get("x509_common_name", ())
    name = names[0].decode("utf-8", "replace") if names else context.peer()
    return "".join(one for one in name if one.isprintable())[:_LONGEST], bool(names)
