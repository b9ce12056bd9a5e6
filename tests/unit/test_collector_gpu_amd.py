"""The collector of AMD's and other GPUs over trees of files as their drivers fill them."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.gpu import energy
from exporter.gpu.energy import PowerIntegral
from exporter.gpu.owners import descendants
from exporter.metrics.collectors.collector import NoData, Partial
from exporter.metrics.collectors.gpu_amd import DrmGpus, GpuAmdCollector
from exporter.metrics.families import Family
from exporter.tasks import Border
from tests.support import eventually, soon

Page = dict[str, dict[tuple[str, ...], float]]

CARD = "sys/class/drm/renderD128/device"
HWMON = f"{CARD}/hwmon/hwmon4"
RADEON = {
    f"{CARD}/uevent": "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SUBSYS_ID=1EAE:7905\n"
    "PCI_SLOT_NAME=0000:03:00.0\nMODALIAS=pci:v00001002d0000744Csv00001EAEsd00007905bc03sc00i00\n",
    f"{CARD}/revision": "0xc8\n",
    f"{CARD}/product_name": "\n",
    f"{CARD}/unique_id": "8a7d4c21f0b3e695\n",
    f"{CARD}/power/runtime_status": "active\n",
    f"{CARD}/gpu_busy_percent": "97\n",
    f"{CARD}/mem_busy_percent": "38\n",
    f"{CARD}/mem_info_vram_total": "25753026560\n",
    f"{CARD}/mem_info_vram_used": "21474836480\n",
    f"{CARD}/mem_info_gtt_total": "33554432000\n",
    f"{CARD}/mem_info_gtt_used": "104857600\n",
    f"{HWMON}/name": "amdgpu\n",
    f"{HWMON}/temp1_input": "61000\n",
    f"{HWMON}/temp1_label": "edge\n",
    f"{HWMON}/temp2_input": "84500\n",
    f"{HWMON}/temp2_label": "junction\n",
    f"{HWMON}/temp3_input": "78000\n",
    f"{HWMON}/temp3_label": "mem\n",
    f"{HWMON}/temp3_crit": "108000\n",
    f"{HWMON}/power1_average": "303000000\n",
    f"{HWMON}/power1_cap": "339000000\n",
    f"{HWMON}/power1_label": "PPT\n",
    f"{HWMON}/freq1_input": "2526000000\n",
    f"{HWMON}/freq1_label": "sclk\n",
    f"{HWMON}/freq2_input": "1249000000\n",
    f"{HWMON}/freq2_label": "mclk\n",
    f"{HWMON}/fan1_input": "1650\n",
    f"{HWMON}/fan1_max": "3300\n",
    f"{HWMON}/pwm1": "100\n",
    "proc/sys/kernel/osrelease": "6.8.0-45-generic\n",
    "usr/share/libdrm/amdgpu.ids": "# List of AMDGPU IDs\n#\n1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n"
    "744C,\tCC,\tAMD Radeon RX 7900 XT\n",
}
UUID = "GPU-8a7d4c21f0b3e695"
WHICH = ("0", UUID)
EXPECTED: Page = {
    "llama_gpus": {("amd",): 1},
    "llama_gpu_info": {(*WHICH, "amd", "AMD Radeon RX 7900 XTX", "amdgpu 6.8.0-45-generic"): 1},
    "llama_gpu_utilization_ratio": {WHICH: 0.97},
    "llama_gpu_memory_utilization_ratio": {WHICH: 0.38},
    "llama_gpu_memory_total_bytes": {WHICH: 25753026560},
    "llama_gpu_memory_used_bytes": {WHICH: 21474836480},
    "llama_gpu_memory_free_bytes": {WHICH: 4278190080},
    "llama_gpu_gtt_total_bytes": {WHICH: 33554432000},
    "llama_gpu_gtt_used_bytes": {WHICH: 104857600},
    "llama_gpu_temperature_celsius": {(*WHICH, "edge"): 61, (*WHICH, "junction"): 84.5, (*WHICH, "memory"): 78},
    "llama_gpu_power_watts": {WHICH: 303},
    "llama_gpu_power_limit_watts": {WHICH: 339},
    "llama_gpu_clock_hertz": {(*WHICH, "graphics"): 2.526e9, (*WHICH, "memory"): 1.249e9},
    "llama_gpu_fan_speed_ratio": {WHICH: 0.5},
}
MEMORY = {f"llama_gpu_memory_{part}_bytes" for part in ("total", "used", "free")}
LOST = {
    f"{CARD}/gpu_busy_percent": {"llama_gpu_utilization_ratio"},
    f"{CARD}/mem_busy_percent": {"llama_gpu_memory_utilization_ratio"},
    f"{CARD}/mem_info_vram_total": MEMORY - {"llama_gpu_memory_used_bytes"},
    f"{CARD}/mem_info_vram_used": MEMORY - {"llama_gpu_memory_total_bytes"},
    f"{CARD}/mem_info_gtt_total": {"llama_gpu_gtt_total_bytes"},
    f"{CARD}/mem_info_gtt_used": {"llama_gpu_gtt_used_bytes"},
    f"{HWMON}/power1_average": {"llama_gpu_power_watts"},
    f"{HWMON}/power1_cap": {"llama_gpu_power_limit_watts"},
}
ARC = "sys/class/drm/renderD129/device"
INTEL = {
    f"{ARC}/uevent": "DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:07:00.0\n",
    f"{ARC}/hwmon/hwmon5/name": "xe\n",
    f"{ARC}/hwmon/hwmon5/energy1_input": "123456789\n",
    f"{ARC}/hwmon/hwmon5/power1_max": "190000000\n",
    f"{ARC}/hwmon/hwmon5/temp2_input": "55000\n",
    f"{ARC}/hwmon/hwmon5/temp2_label": "pkg\n",
    f"{ARC}/hwmon/hwmon5/temp3_input": "60000\n",
    f"{ARC}/hwmon/hwmon5/temp3_label": "vram\n",
}
ARC_UUID = "0000:07:00.0"

AMDGPU_FDINFO = """pos:\t0
flags:\t02100002
mnt_id:\t26
ino:\t574
drm-driver:\tamdgpu
drm-client-id:\t71
drm-pdev:\t0000:03:00.0
pasid:\t32779
drm-total-cpu:\t0
drm-shared-cpu:\t0
drm-total-gtt:\t68 MiB
drm-resident-gtt:\t65536 KiB
drm-total-vram:\t20000 MiB
drm-shared-vram:\t0
drm-resident-vram:\t19456 MiB
drm-memory-vram:\t19922944 KiB
drm-memory-gtt: \t65536 KiB
drm-memory-cpu: \t0 KiB
drm-engine-compute:\t49481203711 ns
"""
OLD_AMDGPU_FDINFO = (
    "drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t72\ndrm-memory-vram:\t1024 KiB\n"
    "drm-memory-gtt: \t2048 KiB\ndrm-memory-cpu: \t4 KiB\n"
)
XE_FDINFO = (
    "drm-driver:\txe\ndrm-client-id:\t20\ndrm-pdev:\t0000:07:00.0\ndrm-total-system:\t0\ndrm-total-gtt:\t2 MiB\n"
    "drm-resident-gtt:\t2 MiB\ndrm-total-vram0:\t16946852 KiB\ndrm-resident-vram0:\t16000 MiB\ndrm-total-stolen:\t0\n"
)
INTEGRATED_FDINFO = (
    "drm-driver:\ti915\ndrm-client-id:\t5\ndrm-pdev:\t0000:07:00.0\ndrm-total-system0:\t9 MiB\n"
    "drm-resident-system0:\t8 MiB\ndrm-resident-stolen-system0:\t0\ndrm-engine-render:\t7 ns\n"
)


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def process(root: Path, pid: int, *texts: str, children: str = "") -> None:
    """A process that has GPUs open, one file for each of `texts`, and others."""
    folder = root / "proc" / str(pid)
    write(folder, {f"task/{pid}/children": children, f"task/{pid + 1}/children": "", "fdinfo/0": "pos:\t0\n"})
    (folder / "fd").mkdir()
    (folder / "fd/0").symlink_to("/dev/null")
    for number, text in enumerate(texts, 3):
        (folder / f"fd/{number}").symlink_to("/dev/dri/renderD128")
        write(folder, {f"fdinfo/{number}": text})


def page(families: list[Family]) -> Page:
    return {
        family.name: {tuple(value for _, value in sample.labels): float(sample.value) for sample in family.samples}
        for family in families
    }


async def read(collector: GpuAmdCollector) -> Page:
    families = await collector.collect(soon())
    declared = {metric.name: metric for metric in collector.metrics}
    assert all(declared[family.name].help == family.help for family in families)
    return page(families)


def start(root: Path, processes: Mapping[str, int] | None = None, *, required: bool = False) -> GpuAmdCollector:
    return GpuAmdCollector(lambda: processes or {}, Border(), root=root, required=required, every=0.01, find_again=0)


async def read_partial(collector: GpuAmdCollector) -> tuple[Page, str]:
    with pytest.raises(Partial) as caught:
        await collector.collect(soon())
    return page(caught.value.families), str(caught.value)


async def test_every_value_of_a_known_gpu(tmp_path: Path) -> None:
    write(tmp_path, RADEON)
    assert await read(start(tmp_path)) == EXPECTED


@pytest.mark.parametrize("name", LOST)
async def test_a_file_that_is_not_there_loses_its_own_metrics_only(tmp_path: Path, name: str) -> None:
    write(tmp_path, RADEON)
    (tmp_path / name).unlink()
    assert set(await read(start(tmp_path))) == set(EXPECTED) - LOST[name]


@pytest.mark.parametrize("name", LOST)
async def test_a_file_that_makes_no_sense_is_said(tmp_path: Path, name: str) -> None:
    write(tmp_path, RADEON | {name: "<unknown>\n"})
    found, error = await read_partial(start(tmp_path))
    assert set(found) == set(EXPECTED) - LOST[name]
    assert error == f"GPU 0 of amd ({UUID}): {name.rpartition('/')[2]}: '<unknown>' is no number"


async def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    write(tmp_path, RADEON)
    (tmp_path / CARD / "gpu_busy_percent").unlink()
    (tmp_path / CARD / "gpu_busy_percent").mkdir()
    found, error = await read_partial(start(tmp_path))
    assert set(found) == set(EXPECTED) - {"llama_gpu_utilization_ratio"}
    assert error.endswith("gpu_busy_percent: Is a directory")


async def test_other_ways_to_name_power_fan_and_chip(tmp_path: Path) -> None:
    lacking = {f"{HWMON}/power1_average", f"{HWMON}/fan1_max", f"{CARD}/unique_id", "usr/share/libdrm/amdgpu.ids"}
    files = {name: text for name, text in RADEON.items() if name not in lacking}
    write(tmp_path, files | {f"{HWMON}/power1_input": "17000000\n", "sys/module/amdgpu/version": "6.10.5\n"})
    found = await read(start(tmp_path))
    which = ("0", "0000:03:00.0")
    assert found["llama_gpu_power_watts"] == {which: 17}
    assert found["llama_gpu_fan_speed_ratio"] == {which: pytest.approx(100 / 255)}
    assert set(found["llama_gpu_info"]) == {(*which, "amd", "amdgpu 1002:744C", "amdgpu 6.10.5")}


async def test_a_sleeping_gpu_is_left_asleep(tmp_path: Path) -> None:
    write(tmp_path, RADEON | {f"{CARD}/power/runtime_status": "suspended\n"})
    assert set(await read(start(tmp_path))) == {"llama_gpus", "llama_gpu_info"}


async def test_gpus_of_several_vendors_are_counted_apart(tmp_path: Path) -> None:
    write(tmp_path, RADEON | INTEL)
    second = {name.replace("renderD128", "renderD130"): text for name, text in RADEON.items() if CARD in name}
    uevent = RADEON[f"{CARD}/uevent"].replace("0000:03", "0000:83")
    unique = {f"{CARD}/uevent".replace("128", "130"): uevent, f"{CARD}/unique_id".replace("128", "130"): "1f\n"}
    write(tmp_path, second | unique)
    write(tmp_path, {"sys/class/drm/renderD131/device/uevent": "DRIVER=nvidia\nPCI_ID=10DE:2684\n"})
    write(tmp_path, {"sys/class/drm/card4/device/uevent": "DRIVER=ast\nPCI_ID=1A03:2000\n"})
    found = await read(start(tmp_path))
    assert found["llama_gpus"] == {("amd",): 2, ("intel",): 1}
    assert {labels[:3] for labels in found["llama_gpu_info"]} == {
        ("0", UUID, "amd"),
        ("1", "GPU-1f", "amd"),
        ("0", ARC_UUID, "intel"),
    }
    assert found["llama_gpu_energy_joules_total"] == {("0", ARC_UUID): pytest.approx(123.456789)}
    assert found["llama_gpu_power_limit_watts"]["0", ARC_UUID] == 190
    temperatures = found["llama_gpu_temperature_celsius"]
    assert {labels[2]: value for labels, value in temperatures.items() if labels[1] == ARC_UUID} == {
        "pkg": 55,
        "memory": 60,
    }


async def test_a_gpu_that_vanishes_is_said_and_comes_back(tmp_path: Path) -> None:
    write(tmp_path, RADEON | INTEL)
    collector = start(tmp_path)
    await read(collector)
    (tmp_path / ARC).rename(tmp_path / "gone")
    (tmp_path / "sys/class/drm/renderD129").rmdir()
    found, error = await read_partial(collector)
    assert error.startswith(f"GPU 0 of intel ({ARC_UUID}) is gone")
    assert found["llama_gpus"] == {("amd",): 1, ("intel",): 0}
    write(tmp_path, INTEL)
    assert (await read(collector))["llama_gpus"] == {("amd",): 1, ("intel",): 1}


async def test_no_gpu_is_no_data_and_a_failure_when_one_is_required(tmp_path: Path) -> None:
    with pytest.raises(NoData):
        await start(tmp_path).collect(soon())
    with pytest.raises(OSError, match=r"metrics\.collectors\.gpu_amd is true, but"):
        await start(tmp_path, required=True).collect(soon())


async def test_memory_by_model(tmp_path: Path) -> None:
    write(tmp_path, RADEON | INTEL)
    # The same client twice, and once more in a child that inherited it; the child has a client of its own.
    process(tmp_path, 100, AMDGPU_FDINFO, AMDGPU_FDINFO, XE_FDINFO, children="200 ")
    process(tmp_path, 200, AMDGPU_FDINFO, OLD_AMDGPU_FDINFO)
    process(tmp_path, 300, INTEGRATED_FDINFO, "drm-driver:\tvirtio_gpu\ndrm-client-id:\t9\n")
    process(tmp_path, 400, OLD_AMDGPU_FDINFO.replace("72", "73"))  # foreign
    (tmp_path / "proc/500").mkdir()  # of another user
    found = await read(start(tmp_path, {"a": 100, "b": 300, "c": 500, "gone": 600}))
    assert found["llama_gpu_model_memory_bytes"] == {
        (*WHICH, "a"): 19457 << 20,
        ("0", ARC_UUID, "a"): 16000 << 20,
        ("0", ARC_UUID, "b"): 8 << 20,
    }
    assert found["llama_gpu_model_gtt_bytes"] == {(*WHICH, "a"): 66 << 20, ("0", ARC_UUID, "a"): 2 << 20}


async def test_growing_engine_times_show_who_used_a_gpu(tmp_path: Path) -> None:
    write(tmp_path, RADEON | INTEL)
    process(tmp_path, 100, AMDGPU_FDINFO, children="200 ")
    process(tmp_path, 200, xe := XE_FDINFO + "drm-cycles-rcs:\t5\ndrm-total-cycles-rcs:\t9\n")
    process(tmp_path, 300, INTEGRATED_FDINFO)
    collector = start(tmp_path, {"a": 100, "b": 300})
    await read(collector)

    def works(pid: int, text: str) -> None:
        written = tmp_path / f"proc/{pid}/new"
        written.write_text(text)
        written.replace(tmp_path / f"proc/{pid}/fdinfo/3")

    assert isinstance(collector.gpus, DrmGpus)
    gpus = collector.gpus
    await eventually(lambda: len(gpus._work) == 3)
    assert collector.busy_at([100, 300]) is None
    works(300, INTEGRATED_FDINFO.replace("render:\t7", "render:\t8"))
    first = await eventually(lambda: collector.busy_at([100, 300]))
    assert (collector.busy_at([100]), collector.busy_at([300]), collector.busy_at([])) == (None, first, None)
    works(200, xe.replace("rcs:\t5", "rcs:\t6"))  # a child of the model's process
    second = await eventually(lambda: collector.busy_at([100]))
    assert second > first
    assert collector.busy_at([300]) == first
    (tmp_path / "proc/300/fdinfo/3").unlink()
    works(100, AMDGPU_FDINFO.replace("49481203711", "49481203712"))
    await eventually(lambda: (collector.busy_at([100]) or 0) > second)
    assert collector.busy_at([300]) == first


async def test_power_is_added_up_where_no_energy_is_counted(tmp_path: Path) -> None:
    write(tmp_path, RADEON | INTEL)
    collector = start(tmp_path)
    await read(collector)

    async def grown() -> bool:
        joules = (await read(collector))["llama_gpu_energy_joules_total"]
        return joules.get(WHICH, 0) > 3

    await eventually(grown)


def test_a_power_integral_is_the_mean_of_two_readings_times_the_time_between() -> None:
    integral = PowerIntegral()
    for uuid, watts, now in (("a", 100, 10.0), ("b", 7, 10.5), ("a", 200, 12.0), ("a", None, 13.0), ("a", 50, 14.0)):
        integral.add(uuid, watts, now)
    assert integral.joules == {"a": 300, "b": 0}
    integral.add("a", 50, 15.0)
    integral.add("a", 50, 15.1 + energy.MAX_GAP)  # nobody knows what was between
    assert integral.joules["a"] == 350


def test_descendants_of_real_processes() -> None:
    command = ["/bin/sh", "-c", "sleep 600 & echo $!; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        gone = 2**22 + 1
        found = descendants({"": os.getpid(), "m": shell.pid, "gone": gone})
        assert (found[os.getpid()], found[shell.pid], found[child], found[gone]) == ("", "m", "m", "gone")
        assert descendants({"m": shell.pid}) == {shell.pid: "m", child: "m"}
        os.killpg(shell.pid, 9)
