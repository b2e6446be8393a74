"""What decides how a worker behaves: the code, the packages and the environment variables that it would start with."""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import kdcore
from kdcore.jobs.spawn import worker_environment
from kdcore.machine import paths
from kdcore.store import Store

_NAMES = {"HOME", "USERPROFILE", "TMPDIR", "TEMP", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
_PREFIXES = (
    *("KDCORE_", "PYTHON", "TORCH_", "PYTORCH_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "XDG_", "HF_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_", "ATEN_", "LD_", "DYLD_", "MALLOC_"),
)


def worker_fingerprint(store: Store) -> str:
    """Return a text that is the same for two processes only if workers that they start now would behave alike.

    It covers the store, the user, Python, the files of kdcore as they are on the disk now, the installed packages, and
    the environment variables that decide where files are found and how PyTorch computes.
    """
    root = Path(kdcore.__file__).resolve().parent
    facts = [f"{store.home} {store.url}", f"{sys.prefix} {sys.version}", f"{root} {paths.data()}"]
    facts.append(str(os.getuid() if sys.platform != "win32" else os.environ.get("USERNAME")))
    for place in (Path(sysconfig.get_path("purelib")), *sorted(root.rglob("*.py"))):  # installing changes its folder
        status = place.stat()
        facts.append(f"{place} {status.st_mtime_ns} {0 if place.suffix != '.py' else status.st_size}")
    facts += _deciding_variables(worker_environment(store))
    return hashlib.sha256("\n".join(facts).encode(errors="surrogateescape")).hexdigest()


def _deciding_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that decide how a worker behaves, as lines; a repeated entry of PYTHONPATH counts once."""
    chosen = {
        name: value
        for name, value in environment.items()
        if name in _NAMES or name.startswith(_PREFIXES) or name.lower().endswith("_proxy")
    }
    search_path = chosen.get("PYTHONPATH", "").split(os.pathsep)
    chosen["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, search_path)))
    return [f"{name}={value}" for name, value in sorted(chosen.items())]
