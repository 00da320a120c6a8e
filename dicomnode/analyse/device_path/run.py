"""A network run on buffers of the device, in the network's own order of axes and batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from dicomnode.analyse.device_path.feed import DeviceMeal
from dicomnode.analyse.device_path.held import Held
from dicomnode.analyse.interpret import UnreadableError
from dicomnode.device import Buffer, HostBuffer
from dicomnode.device.kernels import Kernels
from dicomnode.engine import Session

_NUMBERS: Final = "fiub"  # kinds of dtype; networks of classical heads give texts too


class Runner:
    """Runs a session on what it is fed with. Outputs are the caller's to close."""

    def __init__(self, kernels: Kernels, session: Session, meal: DeviceMeal) -> None:
        self._kernels, self._session, self._meal = kernels, session, meal
        self._place = "cuda" if kernels.device.kind == "cuda" else "host"

    def whole(self) -> dict[str, Buffer]:
        """Run the network over the whole box, once; return its outputs as they come."""
        tensors = {
            name: self._kernels.reshaped(tall.voxels, (1, tall.channels, *tall.shape))
            for name, tall in self._meal.talls.items()
        }
        with Held() as held:
            return self._run(tensors, held)

    def maps_of(self, outputs: Mapping[str, Buffer], held: Held) -> dict[str, Buffer]:
        """Return those of one run over the whole box that lie on a grid, as (channels, k, j, i)."""
        layout, shape = self._meal.layout, self._meal.grid.shape_kji
        maps: dict[str, Buffer] = {}
        for name, output in outputs.items():
            turned = layout.from_network(self._kernels, held, output, 1, shape[0]) if layout else None
            if turned is not None and turned.shape[0] == 1:
                maps[name] = self._kernels.reshaped(turned, turned.shape[1:])
        return maps

    def on_grid(self, tensors: Mapping[str, Buffer]) -> dict[str, Buffer]:
        """Run the network on windows (n, c, k, j, i); return what lies on a grid, (n, channels, k, j, i)."""
        layout = self._meal.layout
        n, _, depth, _, _ = next(iter(tensors.values())).shape
        found: dict[str, Buffer] = {}
        with Held() as held:
            outputs = {name: held.keep(output) for name, output in self._run(tensors, held).items()}
            for name, output in outputs.items():
                copies = Held()
                turned = layout.from_network(self._kernels, copies, output, n, depth) if layout else None
                if turned is None:
                    continue
                found[name] = turned
                if copies.is_empty:
                    held.release(output)  # it is seen under other lengths: the caller closes it
        return found

    def _run(self, tensors: Mapping[str, Buffer], held: Held) -> dict[str, Buffer]:
        """Run the network on channels (n, c, k, j, i) and the rows; texts among the outputs are left out."""
        given: dict[str, Buffer] = {}
        try:
            for name, values in tensors.items():
                given[name] = self._meal.layouts[name].to_network(self._kernels, held, values)
        except ValueError as error:
            raise UnreadableError(str(error)) from error
        batch = max((tensor.shape[0] for tensor in given.values()), default=1)
        for name, row in self._meal.rows.items():
            given[name] = HostBuffer(np.repeat(row[np.newaxis], batch, axis=0))
        return self._in_batches(given, batch)

    def _in_batches(self, given: Mapping[str, Buffer], batch: int) -> dict[str, Buffer]:
        """Run a network whose batch is fixed as often as it takes; each input has `batch` rows."""
        fixed = next((spec.shape[0] for spec in self._session.inputs if spec.shape and spec.shape[0]), None)
        if fixed is None or batch == fixed or batch % fixed:
            return self._infer(given)
        with Held() as held:
            runs: list[dict[str, Buffer]] = []
            for number in range(batch // fixed):
                some = {name: self._rows(tensor, number, fixed) for name, tensor in given.items()}
                runs.append({name: held.keep(one) for name, one in self._infer(some).items()})
            return {name: self._kernels.join([one[name] for one in runs]) for name in runs[0]}

    def _rows(self, tensor: Buffer, number: int, fixed: int) -> Buffer:
        """Return so many rows of a tensor, as a view."""
        if isinstance(tensor, HostBuffer):
            return HostBuffer(tensor.host()[number * fixed : (number + 1) * fixed])
        groups = self._kernels.reshaped(tensor, (tensor.shape[0] // fixed, fixed, *tensor.shape[1:]))
        return self._kernels.part(groups, number)

    def _infer(self, given: Mapping[str, Buffer]) -> dict[str, Buffer]:
        outputs = self._session.infer(given)
        found: dict[str, Buffer] = {}
        for name, output in outputs.items():
            if output.dtype.kind not in _NUMBERS:
                output.close()
            elif output.place == self._place:
                found[name] = output
            else:
                found[name] = self._kernels.upload(output.host())
                output.close()
        return found
