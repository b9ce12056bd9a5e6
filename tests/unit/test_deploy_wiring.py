"""What one file of the stack names, the others have: files, ports, services, variables, keys."""

import re

import msgspec
import pytest

from exporter.logs.record import Record
from tests.deploy import BASE, ELSEWHERE, OVERRIDES, PORTS, ROOT, SERVICES, STACK, mounts, read, without_comments


def test_every_mount_exists_and_every_volume_is_used() -> None:
    used = set()
    for name, service in SERVICES.items():
        found = mounts(service)
        assert len(found) == len(service.get("volumes", [])), name
        for source in found.values():
            if source.startswith("./") and source != "./models":
                folder = source.removeprefix("./")
                assert folder in ELSEWHERE or (ROOT / folder).is_dir(), source
            elif not source.startswith((".", "$")):
                used.add(source)
    assert used == set(STACK["volumes"])
    assert "/models/" in (ROOT / ".gitignore").read_text()


def test_the_files_that_the_commands_name_are_mounted() -> None:
    expected = {
        ("prometheus", "/etc/prometheus/prometheus.yml"),
        ("alertmanager", "/etc/alertmanager/alertmanager.yml"),
        ("loki", "/etc/loki/loki.yml"),
        ("alloy", "/etc/alloy/config.alloy"),
    }
    named = {
        (name, path)
        for name, service in SERVICES.items()
        for argument in service.get("command", [])
        for path in re.findall(r"(/etc/\S+\.\w+)", argument)
    }
    assert named == expected
    provisioning = read("grafana/provisioning/dashboards/dashboards.yml")["providers"][0]["options"]["path"]
    assert provisioning in mounts(SERVICES["grafana"])
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    for name, path in (*named, ("grafana", home)):
        folder, file = path.rsplit("/", 1)
        source = mounts(SERVICES[name])[folder].removeprefix("./")
        assert file in ELSEWHERE.get(source, ()) or (ROOT / source / file).is_file(), path


def test_what_the_stack_relies_on_is_there() -> None:
    for folder, names in ELSEWHERE.items():
        present = [name for name in names if (ROOT / folder / name).exists()]
        assert present == list(names) or not (ROOT / folder).exists(), folder


CONFIGURATION = [
    "alloy/config.alloy",
    "loki/loki.yml",
    "grafana/provisioning/datasources/datasources.yml",
    *[name for name in ("prometheus/prometheus.yml", "alertmanager/alertmanager.yml") if (ROOT / name).exists()],
]


@pytest.mark.parametrize("file", CONFIGURATION)
def test_every_address_is_a_service_and_its_port(file: str) -> None:
    found = re.findall(r"\b([a-z][a-z-]*):(\d{4,5})\b", without_comments(file))
    for host, port in found:
        assert int(port) in ([PORTS[host]] if host != "localhost" else PORTS.values()), f"{host}:{port}"


def test_the_ports_that_are_configured_are_the_ones_that_are_asked() -> None:
    assert read("loki/loki.yml")["server"]["http_listen_port"] == PORTS["loki"]
    assert f"--server.http.listen-addr=0.0.0.0:{PORTS['alloy']}" in SERVICES["alloy"]["command"]
    assert f"localhost/{PORTS['alloy']}" in SERVICES["alloy"]["healthcheck"]["test"][-1]
    for name in ("alertmanager", "grafana"):
        assert any(f"localhost:{PORTS[name]}/" in word for word in SERVICES[name]["healthcheck"]["test"])


def variables(text: str) -> set[str]:
    return set(re.findall(r"\$\{([A-Z_]+)", text))


def test_every_variable_is_explained_and_every_explained_one_is_used() -> None:
    used = set().union(*(variables((ROOT / name).read_text()) for name in (BASE, *OVERRIDES)))
    environment = SERVICES["exporter"]["environment"]
    used |= {name for name, value in environment.items() if value is None}
    assert STACK["secrets"]["grafana_password"]["environment"] in used
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert explained == used


def test_the_defaults_that_are_explained_are_the_defaults() -> None:
    written = dict(re.findall(r"^#([A-Z_]+)=(\S+)", (ROOT / ".env.example").read_text(), re.MULTILINE))
    compose_files = "".join((ROOT / name).read_text() for name in (BASE, *OVERRIDES))
    defaults = dict(reversed(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", compose_files)))
    assert {name: value for name, value in written.items() if name in defaults} == defaults


@pytest.mark.parametrize(("service", "file"), [("loki", "loki/loki.yml"), ("alloy", "alloy/config.alloy")])
def test_the_variables_of_a_configuration_are_given_to_its_container(service: str, file: str) -> None:
    text = (ROOT / file).read_text()
    asked = set(re.findall(r"\$\{([A-Z_]{2,}):-[^}]+\}", text)) - {"NAME"} | set(
        re.findall(r'sys\.env\("(\w+)"\)', text)
    )
    assert asked
    assert asked == set(SERVICES[service]["environment"])


def test_the_keys_that_go_to_loki_are_keys_of_a_log_line() -> None:
    text = (ROOT / "alloy/config.alloy").read_text()
    blocks = dict(re.findall(r"stage\.(json|structured_metadata) \{\s*\w+ = \{(.*?)\}", text, re.DOTALL))
    keys = {name: set(re.findall(r'(\w+) = ""', block)) for name, block in blocks.items()}
    line = {field.encode_name for field in msgspec.structs.fields(Record)}
    assert keys["json"] <= line
    assert keys["structured_metadata"] == keys["json"] - {"time"}
    assert re.search(r'stage\.timestamp \{\s*source = "time"\s*format = "RFC3339Nano"', text)


def test_alloy_reads_the_containers_of_this_project_only() -> None:
    assert f'"com.docker.compose.project={STACK["name"]}"' in (ROOT / "alloy/config.alloy").read_text()


PROXY_GET = next(
    word.partition("=")[2] for word in SERVICES["docker-proxy"]["command"] if word.startswith("-allowGET=")
)


@pytest.mark.parametrize(
    ("path", "passes"),
    [
        ("/_ping", True),
        ("/v1.51/containers/json", True),
        ("/v1.51/networks", True),
        ("/v1.51/containers/0123abc/json", True),
        ("/v1.51/containers/0123abc/logs", True),
        ("/v1.51/containers/0123abc/archive", False),
        ("/v1.51/containers/0123abc/export", False),
        ("/v1.51/containers/0123abc/attach/ws", False),
        ("/v1.51/images/json", False),
        ("/_ping/v1.51/secrets", False),
        ("/v1.51/secrets/v1.51/containers/json", False),
        ("/v1.51/secrets", False),
        ("/v1.51/containers/../secrets", False),
    ],
)
def test_the_proxy_lets_pass_what_reading_logs_needs(path: str, passes: bool) -> None:  # noqa: FBT001
    # As the proxy does it: an alternative outside of a group would lose an anchor.
    assert bool(re.search(f"^{PROXY_GET}$", path)) == passes
    methods = {word.split("=")[0] for word in SERVICES["docker-proxy"]["command"] if word.startswith("-allow")}
    assert methods == {"-allowfrom", "-allowHEAD", "-allowGET", "-allowhealthcheck"}, "nothing that changes anything"


def test_only_alloy_and_the_proxy_see_docker() -> None:
    assert {name for name, service in SERVICES.items() if "docker-api" in service["networks"]} == {
        "alloy",
        "docker-proxy",
    }
    assert {name for name, service in SERVICES.items() if "docker.sock" in str(service)} == {"docker-proxy"}
    assert SERVICES["docker-proxy"]["networks"] == ["docker-api"]
    assert STACK["networks"]["docker-api"] == {"internal": True}


def test_the_data_sources_are_the_ones_that_links_rely_on() -> None:
    sources = read("grafana/provisioning/datasources/datasources.yml")["datasources"]
    assert {source["uid"]: source["type"] for source in sources} == {
        "prometheus": "prometheus",
        "loki": "loki",
        "alertmanager": "alertmanager",
    }
    assert [source["uid"] for source in sources if source.get("isDefault")] == ["prometheus"]
    interval = next(source for source in sources if source["uid"] == "prometheus")["jsonData"]["timeInterval"]
    if (ROOT / "prometheus/prometheus.yml").exists():
        assert interval == read("prometheus/prometheus.yml")["global"]["scrape_interval"]
    assert read("grafana/provisioning/dashboards/dashboards.yml")["providers"][0]["allowUiUpdates"] is False


def test_logs_are_deleted_when_their_time_is_over() -> None:
    loki = read("loki/loki.yml")
    assert loki["compactor"]["retention_enabled"]
    assert loki["compactor"]["delete_request_store"] == loki["schema_config"]["configs"][-1]["object_store"]
    assert loki["limits_config"]["retention_period"] == SERVICES["loki"]["environment"]["LOKI_RETENTION"]
