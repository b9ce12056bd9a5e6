"""The whole exporter over an NVML without GPUs."""

from pathlib import Path

import pytest

from tests.integration.program import exporter
from tests.nvml.stub import Stub
from tests.support import FAKE, eventually

UUID = "GPU-00000000-0000-0000-0000-000000000000"
SUCCESS = "llama_exporter_collector_success{collector=gpu_nvidia}"


@pytest.fixture
def stub(libnvidia_ml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """What the exporter that is started next finds as NVIDIA's library."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libnvidia_ml.parent))
    monkeypatch.setenv("NVML_STUB", str(tmp_path / "nvml"))
    return Stub(tmp_path / "nvml")


async def test_gpus_and_the_memory_that_the_model_holds(stub: Stub, tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        status = await it.until("ready")
        stub.put({"compute.0": f"{status['pid']}:4096", "temperature.0": 71})
        model = "fake"

        async def named() -> dict[str, float] | None:
            page = await it.metrics()
            return page if f"llama_gpu_model_memory_bytes{{gpu=0}}{{model={model}}}{{uuid={UUID}}}" in page else None

        page = await eventually(named)
        assert page[f"llama_gpu_model_memory_bytes{{gpu=0}}{{model={model}}}{{uuid={UUID}}}"] == 4096
        assert page[f"llama_gpu_temperature_celsius{{gpu=0}}{{sensor=gpu}}{{uuid={UUID}}}"] == 71
        assert page["llama_gpus{vendor=nvidia}"] == 2
        assert page[SUCCESS] == 1


async def test_a_lost_gpu_shows_and_costs_nothing_else(stub: Stub, tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        await it.until("ready")
        assert (await it.metrics())[SUCCESS] == 1
        stub.put({"lost.1": 1})
        page = await it.metrics()
        assert page[SUCCESS] == 0
        assert page["llama_gpus{vendor=nvidia}"] == 1
        assert f"llama_gpu_power_watts{{gpu=0}}{{uuid={UUID}}}" in page
        assert page["llama_server_up"] == 1
        told = await eventually(lambda: [line for line in it.lines if "GPU is lost" in line["message"]])
        assert (told[0]["level"], len(told)) == ("warn", 1)


@pytest.mark.parametrize(("setting", "success"), [("auto", 1), ("true", 0), ("false", None)])
async def test_without_a_gpu_only_a_required_one_is_missed(
    stub: Stub, tmp_path: Path, setting: str, success: int | None
) -> None:
    stub.put({"error.nvmlInitWithFlags": 9})
    config = {"metrics": {"collectors": {"gpu_nvidia": setting}}}
    async with exporter(command=FAKE, config=config, folder=tmp_path) as it:
        page = await it.metrics()
        assert page.get(SUCCESS) == success
        assert not any(name.startswith("llama_gpu_") for name in page)
        await it.end()
        told = [line for line in it.lines if "gpu_nvidia" in line["message"]]
        assert bool(told) == (setting == "true")


async def test_a_required_gpu_of_amd_is_missed(tmp_path: Path) -> None:
    config = {"metrics": {"collectors": {"gpu_nvidia": False, "gpu_amd": True}}}
    async with exporter(command=FAKE, config=config, folder=tmp_path) as it:
        page = await it.metrics()
        success = page["llama_exporter_collector_success{collector=gpu_amd}"]
        assert success == any(name.startswith("llama_gpu_info") for name in page)
        assert SUCCESS not in page
