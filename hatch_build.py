"""What a wheel carries besides its sources: the GPU kernels, compiled where there is a compiler.

hatch calls it before it packs a wheel (`[tool.hatch.build.targets.wheel.hooks.custom]`). A wheel that is
built without nvcc is complete but for these, and the node then runs engines on the CPU: that is said
loudly. DICOMNODE_KERNELS=require, as releases set it, makes it an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FATBINS = ("cu13", "cu12")


class KernelsBuildHook(BuildHookInterface[Any]):
    """Runs scripts/kernels.sh and adds what it made to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; an editable installation is left alone, there it is `make kernels` that does it."""
        if version == "editable":
            return
        root = Path(self.root)
        folder = root / "dicomnode" / "device" / "fatbins"
        for name in _FATBINS:
            made = folder / f"kernels-{name}.fatbin"
            problem = _compile(root, name)
            if problem is None:
                for path in (made, made.with_name(f"{made.name}.sha256")):
                    build_data["force_include"][str(path)] = f"dicomnode/device/fatbins/{path.name}"
            elif os.environ.get("DICOMNODE_KERNELS") == "require":
                raise RuntimeError(f"{made.name} was not made: {problem}")
            else:
                self.app.display_warning(f"THIS WHEEL CARRIES NO {made.name}: {problem}")


def _compile(root: Path, name: str) -> str | None:
    """Make a fatbin, or see that it is up to date; return why it could not be."""
    if shutil.which("bash") is None:
        return "bash is not on PATH"
    command = ["bash", str(root / "scripts" / "kernels.sh"), name]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else done.stdout.strip()
