"""The comparison with nvidia-smi, as users run it, over an NVML and an nvidia-smi that agree and then do not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.program import ROOT
from tests.nvml.stub import Stub

SMI = (ROOT / "tests/nvml/smi.xml").read_text("utf-8")
AGREED: dict[str, object] = {
    "gpus": 1,
    "reasons.0": 4,
    "known_reasons.0": 0xFF,  # not display_clocks_setting, which nvidia-smi lists all the same
    "field_82.0": 44,
    "ecc_corrected.0": 3,
    "ecc_uncorrected.0": 2,
    "compute.0": "1:104857600",
    "graphics.0": "1:104857600",
    "error.0.nvmlDeviceGetFanSpeed": 3,
}


def run(folder: Path, libnvidia_ml: Path, smi: str) -> tuple[int, str]:
    (folder / "smi.xml").write_text(smi)
    program = folder / "nvidia-smi"
    program.write_text(f'#!/bin/sh\n[ "$*" = "-q -x" ] && cat {folder}/smi.xml\n')
    program.chmod(0o755)
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LD_LIBRARY_PATH": str(libnvidia_ml.parent),
        "NVML_STUB": str(folder / "nvml"),
    }
    command = [sys.executable, str(ROOT / "benchmarks/check_gpu.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_values_that_agree(libnvidia_ml: Path, tmp_path: Path) -> None:
    Stub(tmp_path / "nvml").put(AGREED)
    code, table = run(tmp_path, libnvidia_ml, SMI)
    assert code == 0, table
    assert "26 values of 1 GPUs compared, 0 do not agree" in table


@pytest.mark.parametrize(
    ("smi", "verdict"),
    [
        (("33 C", "39 C"), "gpu_temperature_celsius GPU-00000000 gpu 33 39 33 DIFFERS"),
        (("44 C", "N/A"), "gpu_temperature_celsius GPU-00000000 memory 44 - 44 ONLY HERE"),
        (("N/A</fan", "30 %</fan"), "gpu_fan_speed_ratio GPU-00000000 - 0.3 - MISSING HERE"),
        (("<pid>1<", "<pid>2<"), "gpu_processes GPU-00000000 1 2 1 DIFFERS"),
        (("Active</clocks_event_reason_sw_p", "Not Active</clocks_event_reason_sw_p"), "sw_power_cap 1 0 1 DIFFERS"),
        (("NVIDIA H100 ", "NVIDIA H200 "), "NVIDIA H100 80GB HBM3 570.86.15 1 - 1 ONLY HERE"),
    ],
)
def test_a_value_that_differs_is_found(libnvidia_ml: Path, tmp_path: Path, smi: tuple[str, str], verdict: str) -> None:
    Stub(tmp_path / "nvml").put(AGREED)
    assert smi[0] in SMI
    code, table = run(tmp_path, libnvidia_ml, SMI.replace(*smi, 1))
    assert code == 1
    assert any(" ".join(line.split()).endswith(verdict) for line in table.splitlines()), table


def test_without_a_gpu_it_says_so(libnvidia_ml: Path, tmp_path: Path) -> None:
    Stub(tmp_path / "nvml").put({"error.nvmlInitWithFlags": 9})
    code, table = run(tmp_path, libnvidia_ml, SMI)
    assert code == 1
    assert table.startswith("nothing was compared: ")
    assert "the kernel module is not loaded" in table
