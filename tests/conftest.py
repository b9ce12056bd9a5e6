import os
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "nvml" / "nvml.c"


@pytest.fixture(scope="session")
def libnvidia_ml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NVIDIA's management library without GPUs, compiled; in a folder of its own."""
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    flags = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")
    subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", str(library), str(SOURCE)], check=True)
    return library
