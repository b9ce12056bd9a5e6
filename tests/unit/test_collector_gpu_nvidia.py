"""The collector of NVIDIA's GPUs over the real pynvml and a library that speaks NVML without GPUs."""

import asyncio
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pynvml
import pytest

from exporter.gpu import xid
from exporter.metrics.collectors.collector import NoData, Partial
from exporter.metrics.collectors.gpu_nvidia import GpuNvidiaCollector, NvidiaGpus
from exporter.metrics.families import Family
from exporter.tasks import Border
from tests.nvml.stub import Stub
from tests.support import eventually, soon

Page = dict[str, dict[tuple[str, ...], float]]

UUID = "GPU-00000000-0000-0000-0000-000000000000"
UUID_1 = "GPU-00000001-0000-0000-0000-000000000000"
NAME = "NVIDIA H100 80GB HBM3"
DRIVER = "570.86.15"
VALUES: dict[str, object] = {
    "gpus": 1,
    "gpu_util.0": 87,
    "memory_util.0": 41,
    "fan.0": 104,
    "memory_total.0": 80000,
    "memory_used.0": 50000,
    "memory_reserved.0": 1000,
    "temperature.0": 61,
    "field_82.0": 74,
    "power.0": 301234,
    "power_limit.0": 350000,
    "energy.0": 5000123,
    "clock_graphics.0": 1980,
    "clock_sm.0": 1979,
    "clock_memory.0": 2619,
    "clock_video.0": 1545,
    "reasons.0": 0x24,
    "known_reasons.0": 0xE7,
    "ecc_corrected.0": 7,
    "ecc_uncorrected.0": 2,
    "field_91.0": 18,
    "field_138.0": 3,
    "field_139.0": 2,
}
EXPECTED: Page = {
    "llama_gpus": {("nvidia",): 1},
    "llama_gpu_info": {("0", UUID, "nvidia", NAME, DRIVER): 1},
    "llama_gpu_utilization_ratio": {("0", UUID): 0.87},
    "llama_gpu_memory_utilization_ratio": {("0", UUID): 0.41},
    "llama_gpu_fan_speed_ratio": {("0", UUID): 1.04},
    "llama_gpu_memory_total_bytes": {("0", UUID): 80000},
    "llama_gpu_memory_used_bytes": {("0", UUID): 50000},
    "llama_gpu_memory_free_bytes": {("0", UUID): 29000},
    "llama_gpu_temperature_celsius": {("0", UUID, "gpu"): 61, ("0", UUID, "memory"): 74},
    "llama_gpu_power_watts": {("0", UUID): 301.234},
    "llama_gpu_power_limit_watts": {("0", UUID): 350},
    "llama_gpu_energy_joules_total": {("0", UUID): 5000.123},
    "llama_gpu_clock_hertz": {
        ("0", UUID, "graphics"): 1.98e9,
        ("0", UUID, "sm"): 1.979e9,
        ("0", UUID, "memory"): 2.619e9,
        ("0", UUID, "video"): 1.545e9,
    },
    "llama_gpu_throttle_active": {
        ("0", UUID, "applications_clocks_setting"): 0,
        ("0", UUID, "sw_power_cap"): 1,
        ("0", UUID, "sw_thermal_slowdown"): 1,
        ("0", UUID, "hw_thermal_slowdown"): 0,
        ("0", UUID, "hw_power_brake_slowdown"): 0,
    },
    "llama_gpu_ecc_errors_total": {("0", UUID, "corrected"): 7, ("0", UUID, "uncorrected"): 2},
    "llama_gpu_nvlink_received_bytes_total": {("0", UUID): 2048},
    "llama_gpu_nvlink_transmitted_bytes_total": {("0", UUID): 3072},
    "llama_gpu_processes": {("0", UUID): 0},
}
FIELD_METRICS = {"llama_gpu_nvlink_received_bytes_total", "llama_gpu_nvlink_transmitted_bytes_total"}
LOST = {
    "nvmlDeviceGetUtilizationRates": {"llama_gpu_utilization_ratio", "llama_gpu_memory_utilization_ratio"},
    "nvmlDeviceGetFanSpeed": {"llama_gpu_fan_speed_ratio"},
    "nvmlDeviceGetPowerUsage": {"llama_gpu_power_watts"},
    "nvmlDeviceGetEnforcedPowerLimit": {"llama_gpu_power_limit_watts"},
    "nvmlDeviceGetTotalEnergyConsumption": {"llama_gpu_energy_joules_total"},
    "nvmlDeviceGetClockInfo": {"llama_gpu_clock_hertz"},
    "nvmlDeviceGetCurrentClocksEventReasons": {"llama_gpu_throttle_active"},
    "nvmlDeviceGetTotalEccErrors": {"llama_gpu_ecc_errors_total"},
}
"""Functions without a second way to their value, and the metrics that are gone with them."""

TICKED = {
    "llama_gpu_model_energy_joules_total",
    "llama_gpu_pcie_received_bytes_per_second",
    "llama_gpu_pcie_transmitted_bytes_per_second",
    "llama_gpu_xid_errors_total",
}


@pytest.fixture
def stub(libnvidia_ml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """The library, fresh, under pynvml's own name for it."""
    library = shutil.copy(libnvidia_ml, tmp_path)
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(library)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setenv("NVML_STUB", str(tmp_path / "nvml"))
    monkeypatch.setattr(xid, "WAIT", 20)
    return Stub(tmp_path / "nvml")


Start = Callable[..., GpuNvidiaCollector]


@pytest.fixture
def start(stub: Stub) -> Iterator[Start]:
    """Build collectors that are closed at the end."""
    del stub
    border = Border()
    started: list[GpuNvidiaCollector] = []

    def build(
        processes: Callable[[], Mapping[str, int]] = dict, *, required: bool = False, reopen_after: float = 0.0
    ) -> GpuNvidiaCollector:
        started.append(GpuNvidiaCollector(processes, border, required=required, every=0.01, reopen_after=reopen_after))
        return started[-1]

    yield build
    for collector in started:
        assert isinstance(collector.gpus, NvidiaGpus)
        collector.gpus._driver.close()
    assert not border.failures


def page(families: list[Family]) -> Page:
    return {
        family.name: {tuple(value for _, value in sample.labels): float(sample.value) for sample in family.samples}
        for family in families
    }


async def read(collector: GpuNvidiaCollector) -> Page:
    """All but what ticks bring, and the XID errors that never happened."""
    families = await collector.collect(soon())
    declared = {metric.name: metric for metric in collector.metrics}
    assert all(declared[family.name].help == family.help for family in families)
    found = page(families)
    for name in TICKED:
        found.pop(name, None)
    return found


async def read_partial(collector: GpuNvidiaCollector) -> tuple[Page, str]:
    with pytest.raises(Partial) as caught:
        await collector.collect(soon())
    return page(caught.value.families), str(caught.value)


async def test_every_value_of_a_known_gpu(stub: Stub, start: Start) -> None:
    stub.put(VALUES)
    found = await read(start())
    assert found == {name: pytest.approx(values) for name, values in EXPECTED.items()}


@pytest.mark.parametrize("code", [2, 3, 4, 6, 13, 26])
@pytest.mark.parametrize("function", LOST)
async def test_what_a_gpu_does_not_support_is_absent_alone(stub: Stub, start: Start, function: str, code: int) -> None:
    older = function.replace("ClocksEvent", "ClocksThrottle")
    stub.put({**VALUES, f"error.0.{function}": code, f"error.0.{older}": code})
    assert set(await read(start())) == set(EXPECTED) - LOST[function]


@pytest.mark.parametrize("function", LOST)
async def test_what_fails_is_absent_alone_and_said(stub: Stub, start: Start, function: str) -> None:
    stub.put({**VALUES, f"error.0.{function}": 999})
    collector = start()
    found, error = await read_partial(collector)
    assert {name for name in found if "xid" not in name} == set(EXPECTED) - LOST[function]
    assert error.startswith(f"GPU 0 ({UUID}): {function}: Unknown Error")
    stub.put({f"error.0.{function}": None})
    assert set(await read(collector)) == set(EXPECTED)


@pytest.mark.parametrize(
    ("function", "lost"),
    [
        ("nvmlDeviceGetMemoryInfo_v2", set[str]()),
        ("nvmlDeviceGetTemperature", set[str]()),
        ("nvmlDeviceGetCurrentClocksEventReasons", set[str]()),
        ("nvmlDeviceGetSupportedClocksEventReasons", set[str]()),
        ("nvmlDeviceGetComputeRunningProcesses_v3", set[str]()),
        ("nvmlDeviceGetGraphicsRunningProcesses_v3", set[str]()),
        ("nvmlDeviceGetFieldValues", FIELD_METRICS),
    ],
)
async def test_functions_that_other_drivers_lack_have_a_second_way(
    stub: Stub, start: Start, function: str, lost: set[str]
) -> None:
    stub.put({**VALUES, "compute.0": f"{os.getpid()}:5", f"error.0.{function}": 13})
    found = await read(start())
    assert set(found) == {*EXPECTED, "llama_gpu_model_memory_bytes"} - lost
    if function == "nvmlDeviceGetMemoryInfo_v2":
        assert found["llama_gpu_memory_used_bytes"] == {("0", UUID): 51000}
    assert found["llama_gpu_temperature_celsius"]["0", UUID, "gpu"] == 61


async def test_gpus_without_links_and_memory_sensor_have_none(stub: Stub, start: Start) -> None:
    stub.put({**VALUES, "field_91.0": 0, "field_82.0": 0})
    found = await read(start())
    assert set(found) == set(EXPECTED) - FIELD_METRICS
    assert found["llama_gpu_temperature_celsius"] == {("0", UUID, "gpu"): 61}


async def test_a_gpu_that_falls_off_the_bus_leaves_the_others(stub: Stub, start: Start) -> None:
    collector = start(reopen_after=3600)
    assert (await read(collector))["llama_gpus"] == {("nvidia",): 2}
    stub.put({"lost.1": 1})
    found, error = await read_partial(collector)
    assert error == f"GPU 1 ({UUID_1}): GPU is lost"
    assert found["llama_gpus"] == {("nvidia",): 1}
    assert set(found["llama_gpu_power_watts"]) == {("0", UUID)}
    stub.put({"lost.1": None})
    assert (await read(collector))["llama_gpus"] == {("nvidia",): 2}


async def test_a_gpu_that_is_not_listed_any_more_is_said_to_be_gone(stub: Stub, start: Start) -> None:
    collector = start()
    await read(collector)
    stub.put({"lost.1": 1, "gpus": 1})
    await read_partial(collector)
    found, error = await read_partial(collector)  # NVML was opened anew
    assert error.startswith(f"GPU 1 ({UUID_1}) is gone")
    assert found["llama_gpus"] == {("nvidia",): 1}
    stub.put({"lost.1": None, "gpus": 2})
    assert (await read(collector))["llama_gpus"] == {("nvidia",): 2}


async def test_a_gpu_that_cannot_be_opened_leaves_the_others(stub: Stub, start: Start) -> None:
    stub.put({"error.0.nvmlDeviceGetHandleByIndex_v2": 8})
    found, error = await read_partial(start())
    assert error == "GPU 0: Insufficient External Power"
    assert set(found["llama_gpu_power_watts"]) == {("1", UUID_1)}


async def test_a_driver_that_is_reloaded_is_opened_anew(stub: Stub, start: Start) -> None:
    collector = start(reopen_after=0.2)
    await read(collector)
    stub.put({"epoch": 1, "error.nvmlInitWithFlags": 9})
    _, error = await read_partial(collector)
    assert error == "the NVIDIA driver went away: Uninitialized"

    async def not_loaded() -> bool:
        return "the kernel module is not loaded" in (await read_partial(collector))[1]

    await eventually(not_loaded)
    stub.put({"error.nvmlInitWithFlags": None})

    async def works() -> bool:
        try:
            return (await read(collector))["llama_gpus"] == {("nvidia",): 2}
        except Partial:
            return False

    await eventually(works)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"error.nvmlInitWithFlags": 12}, "libnvidia-ml.so.1 is not here"),
        ({"error.nvmlInitWithFlags": 9}, "the kernel module is not loaded"),
        ({"gpus": 0}, "shows no GPU"),
    ],
)
async def test_no_gpu_is_no_data_and_a_failure_when_one_is_required(
    stub: Stub, start: Start, values: dict[str, object], reason: str
) -> None:
    stub.put(values)
    with pytest.raises(NoData):
        await start().collect(soon())
    with pytest.raises(OSError, match=r"metrics\.collectors\.gpu_nvidia is true, but") as caught:
        await start(required=True).collect(soon())
    assert reason in str(caught.value)


async def test_a_driver_that_does_not_fit_the_kernel_module_is_a_failure(stub: Stub, start: Start) -> None:
    stub.put({"error.nvmlInitWithFlags": 18})
    found, error = await read_partial(start())
    assert found == {}
    assert error.endswith("the driver was updated under the running kernel module: reboot")


async def test_an_absent_driver_is_not_looked_for_at_each_scrape(stub: Stub, start: Start) -> None:
    collector = start(reopen_after=3600)
    stub.put({"error.nvmlInitWithFlags": 12})
    with pytest.raises(NoData):
        await collector.collect(soon())
    stub.put({"error.nvmlInitWithFlags": None})
    with pytest.raises(NoData):
        await collector.collect(soon())


@pytest.fixture
def family_of_processes() -> Iterator[tuple[int, int]]:
    """A shell and its child, by PID."""
    with subprocess.Popen(
        ["/bin/sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        yield shell.pid, child
        os.killpg(shell.pid, 9)


@pytest.fixture
def ended() -> int:
    """The PID of a process that was."""
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
    return process.pid


async def test_memory_by_model(stub: Stub, start: Start, family_of_processes: tuple[int, int], ended: int) -> None:
    parent, child = family_of_processes
    stub.put(
        {
            "gpus": 3,
            # the parent computes and draws; one process is foreign, of one nothing is known here
            "compute.0": f"{parent}:100,{child}:20,{os.getpid()}:3,{ended}:7",
            "graphics.0": f"{parent}:100",
            # a part of what the model holds is not told: then the whole is unknown
            "compute.1": f"{parent}:100,{child}:-",
            "error.2.nvmlDeviceGetComputeRunningProcesses_v3": 4,
            "error.2.nvmlDeviceGetGraphicsRunningProcesses_v3": 4,
        }
    )
    found = await read(start(lambda: {"m": parent}))
    assert found["llama_gpu_model_memory_bytes"] == {("0", UUID, "m"): 120, ("0", UUID, "other"): 3}
    assert found["llama_gpu_processes"] == {("0", UUID): 4, ("1", UUID_1): 2}
    # a router is the parent of its models, and each has its own
    found = await read(start(lambda: {"": parent, "m": child}))
    assert found["llama_gpu_model_memory_bytes"] == {
        ("0", UUID, ""): 100,
        ("0", UUID, "m"): 20,
        ("0", UUID, "other"): 3,
        ("1", UUID_1, ""): 100,
    }


async def test_mig_slices_have_rows_of_their_own(stub: Stub, start: Start) -> None:
    stub.put({"gpus": 1, "mig.0": 2, "memory_total.0:1": 10000000, "compute.0:1": f"{os.getpid()}:5"})
    stub.put({"error.0:0.nvmlDeviceGetMemoryInfo_v2": 3, "error.0:0.nvmlDeviceGetMemoryInfo": 3})
    found = await read(start(lambda: {"m": os.getpid()}))
    uuid_0, uuid_1 = (f"MIG-00000000-0000-0000-0000-00000000000{number}" for number in range(2))
    assert found["llama_gpus"] == {("nvidia",): 1}
    assert set(found["llama_gpu_info"]) == {
        ("0", UUID, "nvidia", NAME, DRIVER),
        ("0:0", uuid_0, "nvidia", f"{NAME} MIG 1g.10gb", DRIVER),
        ("0:1", uuid_1, "nvidia", f"{NAME} MIG 1g.10gb", DRIVER),
    }
    assert found["llama_gpu_memory_total_bytes"] == {("0", UUID): 85520809984, ("0:1", uuid_1): 10000000}
    assert found["llama_gpu_processes"] == {("0:0", uuid_0): 0, ("0:1", uuid_1): 1}
    assert found["llama_gpu_model_memory_bytes"] == {("0:1", uuid_1, "m"): 5}
    assert set(found["llama_gpu_power_watts"]) == {("0", UUID)}


async def test_sixteen_gpus(stub: Stub, start: Start) -> None:
    stub.put({"gpus": 16, "temperature.15": 90})
    found = await read(start())
    assert found["llama_gpus"] == {("nvidia",): 16}
    assert len(found["llama_gpu_info"]) == 16
    assert found["llama_gpu_temperature_celsius"]["15", UUID.replace("GPU-00000000", "GPU-00000015"), "gpu"] == 90


async def test_pcie_rates_of_all_gpus_are_sampled_in_turn(stub: Stub, start: Start) -> None:
    stub.put({"pcie_rx.1": 7, "error.0.nvmlDeviceGetPcieThroughput": 3})
    collector = start()

    async def sampled() -> Page | None:
        found = page(await collector.collect(soon()))
        return found if "llama_gpu_pcie_received_bytes_per_second" in found else None

    found = await eventually(sampled)
    assert found["llama_gpu_pcie_received_bytes_per_second"] == {("1", UUID_1): 7000}
    assert found["llama_gpu_pcie_transmitted_bytes_per_second"] == {("1", UUID_1): 2500000}


async def test_scrapes_that_come_together_share_one_look(start: Start) -> None:
    collector = start()
    first, second = await asyncio.gather(collector.collect(soon()), collector.collect(soon()))
    assert first is second
    assert await collector.collect(soon()) is not first


async def xids(collector: GpuNvidiaCollector) -> dict[tuple[str, ...], float]:
    """XID errors that were counted, lost GPUs or not."""
    try:
        families = await collector.collect(soon())
    except Partial as partial:
        families = partial.families
    return {labels: count for labels, count in page(families)["llama_gpu_xid_errors_total"].items() if count}


async def test_xid_errors_are_counted_and_outlive_the_gpu(stub: Stub, start: Start) -> None:
    collector = start()
    grave = page(await collector.collect(soon()))["llama_gpu_xid_errors_total"]
    assert set(grave.values()) == {0}
    assert {("0", UUID, "79"), ("1", UUID_1, "48")} < set(grave)
    stub.put({"xid": "1:79,0:154,1:79,0:48"})
    expected = {("0", UUID, "48"): 1, ("0", UUID, "154"): 1, ("1", UUID_1, "79"): 2}

    async def counted() -> bool:
        return await xids(collector) == expected

    await eventually(counted)
    stub.put({"lost.1": 1, "gpus": 1})
    await read_partial(collector)  # NVML is opened anew
    assert await xids(collector) == expected
    stub.put({"xid": "1:79,0:154,1:79,0:48,0:48"})
    expected["0", UUID, "48"] = 2
    await eventually(counted)


async def test_a_gpu_that_tells_no_events_has_no_counts(stub: Stub, start: Start) -> None:
    stub.put({"error.0.nvmlDeviceRegisterEvents": 3})
    counts = page(await start().collect(soon()))["llama_gpu_xid_errors_total"]
    assert {labels[0] for labels in counts} == {"1"}


async def test_events_that_cannot_be_waited_for_are_a_failure_until_they_can(stub: Stub, start: Start) -> None:
    collector = start()
    await collector.collect(soon())
    stub.put({"error.nvmlEventSetWait_v2": 999})

    async def fails() -> bool:
        try:
            await collector.collect(soon())
        except Partial as partial:
            return str(partial) == "waiting for XID errors: Unknown Error"
        return False

    await eventually(fails)
    stub.put({"error.nvmlEventSetWait_v2": None, "xid": "0:31"})

    async def counted() -> bool:
        return await xids(collector) == {("0", UUID, "31"): 1}

    await eventually(counted)
    assert "llama_gpus" in await read(collector)


async def test_where_there_are_no_events_nothing_is_wrong(stub: Stub, start: Start) -> None:
    stub.put({"error.nvmlEventSetCreate": 3})
    found = page(await start().collect(soon()))
    assert found["llama_gpus"] == {("nvidia",): 2}
    assert "llama_gpu_xid_errors_total" not in found


async def test_without_event_sets_the_rest_is_served(stub: Stub, start: Start) -> None:
    stub.put({"error.nvmlEventSetCreate": 999})
    found, error = await read_partial(start())
    assert error == "XID errors cannot be watched: Unknown Error"
    assert found["llama_gpus"] == {("nvidia",): 2}


ENERGY = "llama_gpu_energy_joules_total"
MODEL_ENERGY = "llama_gpu_model_energy_joules_total"


async def spent(collector: GpuNvidiaCollector, joules: float) -> dict[str, float]:
    """Joules by model on GPU 0, once they are so many together."""

    async def check() -> dict[str, float] | None:
        rows = page(await collector.collect(soon())).get(MODEL_ENERGY, {})
        found = {labels[2]: value for labels, value in rows.items() if labels[:2] == ("0", UUID)}
        return found if found and sum(found.values()) == pytest.approx(joules) else None

    found: dict[str, float] = await eventually(check)
    return found


def energy_seen(collector: GpuNvidiaCollector) -> float:
    """Joules of GPU 0 as the last tick found them."""
    assert isinstance(collector.gpus, NvidiaGpus)
    return collector.gpus._energy.cards[UUID].energy


async def test_energy_goes_to_those_who_used_the_gpu(
    stub: Stub, start: Start, family_of_processes: tuple[int, int], ended: int
) -> None:
    model, child = family_of_processes
    stub.put({"gpus": 1, "energy.0": 5000000})
    collector = start(lambda: {"m": model})
    assert await spent(collector, 0) == {"": 0}
    stub.put({"energy.0": 6000000, "use.0": f"{model}:50,{child}:10,{os.getpid()}:20"})
    assert await spent(collector, 1000) == {"": 0, "m": 750, "other": 250}
    # one of nobody knows whom, and garbage
    stub.put({"energy.0": 7000000, "use.0": f"{model}:30,{ended}:10,{os.getpid()}:4294967295,{child}:0"})
    assert await spent(collector, 2000) == {"": 250, "m": 1500, "other": 250}
    stub.put({"energy.0": 7500000, "use.0": None})
    assert await spent(collector, 2500) == {"": 750, "m": 1500, "other": 250}
    # no samples are no sign of a model that is alone and busy
    stub.put({"energy.0": 7600000, "no_samples.0": 1, "gpu_util.0": 50, "compute.0": f"{model}:5"})
    assert await spent(collector, 2600) == {"": 850, "m": 1500, "other": 250}
    # the driver was loaded anew
    stub.put({"energy.0": 100000})
    await eventually(lambda: energy_seen(collector) == 100)
    stub.put({"energy.0": 200000})
    assert await spent(collector, 2700) == {"": 950, "m": 1500, "other": 250}


@pytest.mark.parametrize(
    ("busy", "others", "expected"), [(50, "", {"": 0, "m": 1000}), (0, "", {"": 1000}), (50, ",1:5", {"": 1000})]
)
async def test_energy_without_shares_goes_to_the_model_that_is_alone(
    stub: Stub,
    start: Start,
    family_of_processes: tuple[int, int],
    busy: int,
    others: str,
    expected: dict[str, float],
) -> None:
    model, child = family_of_processes
    stub.put({"gpus": 1, "energy.0": 0, "error.0.nvmlDeviceGetProcessUtilization": 3, "gpu_util.0": busy})
    stub.put({"compute.0": f"{model}:5,{child}:5{others}"})
    collector = start(lambda: {"m": model})
    assert await spent(collector, 0) == {"": 0}
    stub.put({"energy.0": 1000000})
    assert await spent(collector, 1000) == expected


async def test_samples_of_use_show_who_used_a_gpu(
    stub: Stub, start: Start, family_of_processes: tuple[int, int], ended: int
) -> None:
    model, child = family_of_processes
    stub.put({"gpus": 2})
    running = {"m": model, "idle": os.getpid()}
    collector = start(lambda: running)
    assert await spent(collector, 0) == {"": 0}
    assert collector.busy_at([model]) is None
    stub.put({"use.1": f"{child}:1,{os.getpid()}:0,{ended}:50,1:50"})
    first = await eventually(lambda: collector.busy_at([model, os.getpid()]))
    assert time.monotonic() - first < 20
    await eventually(lambda: (collector.busy_at([model]) or 0) > first)
    assert [collector.busy_at(pids) for pids in ([os.getpid()], [child], [ended], [])] == [None] * 4
    del running["m"]  # its PID may become another's
    await eventually(lambda: collector.busy_at([model]) is None)


async def test_a_gpu_that_tells_no_shares_and_is_busy_is_used_by_the_model_that_is_alone(
    stub: Stub, start: Start, family_of_processes: tuple[int, int]
) -> None:
    model, _ = family_of_processes
    stub.put({"gpus": 1, "error.0.nvmlDeviceGetProcessUtilization": 3, "gpu_util.0": 0, "compute.0": f"{model}:5"})
    collector = start(lambda: {"": model})
    assert await spent(collector, 0) == {"": 0}
    assert collector.busy_at([model]) is None
    stub.put({"gpu_util.0": 1})
    await eventually(lambda: collector.busy_at([model]))


async def test_power_is_added_up_where_no_energy_is_counted(stub: Stub, start: Start) -> None:
    stub.put({"gpus": 2, "error.0.nvmlDeviceGetTotalEnergyConsumption": 3, "power.0": 50000000})
    collector = start()
    assert set(page(await collector.collect(soon()))[ENERGY]) == {("1", UUID_1)}

    async def grown() -> Page | None:
        found = page(await collector.collect(soon()))
        return found if found[ENERGY].get(("0", UUID), 0) > 1000 else None

    found = await eventually(grown)
    assert found[MODEL_ENERGY]["0", UUID, ""] == pytest.approx(found[ENERGY]["0", UUID])
    assert found[ENERGY]["1", UUID_1] == 123456.789


async def test_a_counter_that_fails_once_is_not_replaced(stub: Stub, start: Start) -> None:
    stub.put({"gpus": 1})
    collector = start()
    assert await spent(collector, 0) == {"": 0}
    stub.put({"error.0.nvmlDeviceGetTotalEnergyConsumption": 999, "temperature.0": 99})
    for _ in range(3):
        found, _ = await read_partial(collector)
        assert ENERGY not in found
    stub.put({"error.0.nvmlDeviceGetTotalEnergyConsumption": None})
    assert (await read(collector))[ENERGY] == {("0", UUID): 123456.789}
