"""The Kubernetes resources: rendered by Kustomize, checked against Kubernetes' schemas and against the program."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.kubernetes import generate
from exporter.config import load
from exporter.metrics.definitions import usage
from tests.deploy import ROOT, SERVICES

KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPONENTS = sorted(path.name for path in (KUBERNETES / "components").iterdir())
VERSIONS = ("1.30", "1.37")
CUSTOM = ("monitoring.coreos.com/v1", "keda.sh/v1alpha1")
"""Resources of operators, which Kubernetes has no schemas for."""

KUSTOMIZE = next(
    (
        [program, *command]
        for name, command in (("kustomize", ["build"]), ("kubectl", ["kustomize"]))
        if (program := shutil.which(name))
    ),
    None,
)
with_kustomize = pytest.mark.skipif(KUSTOMIZE is None, reason="needs kustomize or kubectl on PATH: .ci/run builds one")


def render(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What Kustomize makes of a folder, by kind and name."""
    assert KUSTOMIZE is not None
    done = subprocess.run([*KUSTOMIZE, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "a warning of Kustomize is a fault here"
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(done.stdout)}


def source(name: str) -> Any:
    return yaml.safe_load((KUBERNETES / name).read_text("utf-8"))


POD = source("base/statefulset.yaml")["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]


@with_kustomize
@pytest.mark.parametrize("components", [[], *([name] for name in COMPONENTS), ["nvidia", "monitoring", "autoscaling"]])
def test_every_choice_of_components_is_what_kubernetes_knows(components: list[str], tmp_path: Path) -> None:
    here = os.path.relpath(KUBERNETES, tmp_path)
    chosen = {
        "resources": [f"{here}/base"],
        "components": [f"{here}/components/{name}" for name in components],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(chosen))
    resources = render(tmp_path)
    for resource in resources.values():
        if resource["apiVersion"] not in CUSTOM:
            for version in VERSIONS:
                kubernetes_validate.validate(resource, version, strict=True)
    limits = resources["StatefulSet", "llama-server"]["spec"]["template"]["spec"]["containers"][0]["resources"]
    gpus = {"nvidia.com/gpu", "amd.com/gpu"} & set(limits.get("limits", {}))
    assert len(gpus) == len({"nvidia", "amd"} & set(components))
    assert (("PodMonitor", "llama-server") in resources) == ("monitoring" in components)
    assert (("ScaledObject", "llama-server") in resources) == ("autoscaling" in components)


@with_kustomize
def test_the_example_is_whole() -> None:
    resources = render(KUBERNETES / "example")
    labels = resources["StatefulSet", "llama-server"]["spec"]["template"]["metadata"]["labels"]
    for kind, at in (
        ("Service", ("spec", "selector")),
        ("NetworkPolicy", ("spec", "podSelector", "matchLabels")),
        ("PodDisruptionBudget", ("spec", "selector", "matchLabels")),
        ("PodMonitor", ("spec", "selector", "matchLabels")),
        ("StatefulSet", ("spec", "selector", "matchLabels")),
    ):
        selector: Any = resources[kind, "llama-server"]
        for key in at:
            selector = selector[key]
        assert selector, kind
        assert selector.items() <= labels.items(), kind
    (settings,) = [item["data"] for (kind, name), item in resources.items() if name.startswith("llama-server-")]
    config = load(None, settings, {}).config
    assert "LLAMA_ARG_HF_REPO" in settings
    grace = resources["StatefulSet", "llama-server"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    pause = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert grace >= pause + config.live.server.stop_timeout + 10


def test_the_token_is_where_the_setting_says_and_the_pod_can_read_it() -> None:
    spec = source("components/control/token.yaml")["spec"]["template"]["spec"]
    (container,), (volume,) = spec["containers"], spec["volumes"]
    (setting,), (mount,) = container["env"], container["volumeMounts"]
    folder, key = setting["value"].rsplit("/", 1)
    assert load(None, {setting["name"]: setting["value"]}, {}).config.start.web.control_token_file == f"{folder}/{key}"
    assert (mount["name"], mount["mountPath"]) == (volume["name"], folder)
    assert volume["secret"]["defaultMode"] == 0o440
    assert "fsGroup" in POD["securityContext"]
    page = (KUBERNETES / "README.md").read_text("utf-8")
    assert f"kubectl create secret generic {volume['secret']['secretName']} --from-file={key}=" in page


def test_the_ports_and_paths_are_the_exporters() -> None:
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"EXPOSE {ports['http']} {ports['metrics']}" in dockerfile
    routes = (ROOT / "exporter" / "web" / "routes.py").read_text()
    for probe in ("livenessProbe", "readinessProbe"):
        assert CONTAINER[probe]["httpGet"]["port"] == "metrics"
        assert f'"{CONTAINER[probe]["httpGet"]["path"]}"' in routes
    named = [source("base/service.yaml")["spec"]["ports"][0]["targetPort"]]
    named += [rule["ports"][0]["port"] for rule in source("base/networkpolicy.yaml")["spec"]["ingress"]]
    named += [
        endpoint["port"] for endpoint in source("components/monitoring/podmonitor.yaml")["spec"]["podMetricsEndpoints"]
    ]
    assert set(named) == set(ports)


def test_the_pod_runs_as_the_user_of_the_image_with_its_one_writable_folder() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    security = POD["securityContext"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in dockerfile
    assert security["fsGroup"] == security["runAsGroup"]
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"]
    (home,) = re.findall(r"HOME=(\S+)", dockerfile)
    assert {mount["mountPath"] for mount in CONTAINER["volumeMounts"]} == {home, "/tmp"}  # noqa: S108 -- of the container
    assert SERVICES["exporter"]["image"].startswith(f"{CONTAINER['image']}:")


def test_the_autoscaler_asks_for_a_metric_that_exists() -> None:
    spec = source("components/autoscaling/scaledobject.yaml")["spec"]
    workload = source("base/statefulset.yaml")
    assert spec["scaleTargetRef"] == {
        "apiVersion": workload["apiVersion"],
        "kind": workload["kind"],
        "name": workload["metadata"]["name"],
    }
    (trigger,) = spec["triggers"]
    (metric,) = re.findall(r"llama_\w+", trigger["metadata"]["query"])
    assert metric == usage.REQUESTS_WAITING.name
    endpoint = source("components/monitoring/podmonitor.yaml")["spec"]["podMetricsEndpoints"][0]
    job = next(item["replacement"] for item in endpoint["relabelings"] if item["targetLabel"] == "job")
    assert f'job="{job}"' in trigger["metadata"]["query"]


def test_what_is_generated_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    code = generate.main(["--check"])
    assert code == 0, f"make kubernetes\n{capsys.readouterr().out}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with one rule file and one dashboard."""
    for folder in ("prometheus/rules", "grafana/dashboards", str(generate.COMPONENT)):
        (tmp_path / folder).mkdir(parents=True)
    rule: dict[str, Any] = {
        "alert": "ServerDown",
        "expr": "llama_server_up == 0\nand llama_server_desired_state == 1\n",
        "for": "2m",
    }
    rule["annotations"] = {"description": "{{ $labels.instance }} is down"}
    groups = {"groups": [{"name": "server", "rules": [rule]}]}
    (tmp_path / "prometheus/rules/server.yml").write_text(yaml.safe_dump(groups))
    (tmp_path / "grafana/dashboards/overview.json").write_text('{"uid": "llama-overview", "title": "{{ä}}"}\n')
    shutil.copy(KUBERNETES / "components/monitoring/podmonitor.yaml", tmp_path / generate.COMPONENT)
    return tmp_path


def test_rules_and_dashboards_come_out_unchanged(project: Path) -> None:
    assert generate.main([], project) == 0
    folder = project / generate.COMPONENT
    rule = yaml.safe_load((folder / "rule-server.yaml").read_text())
    assert rule["kind"] == "PrometheusRule"
    assert rule["spec"] == yaml.safe_load((project / "prometheus/rules/server.yml").read_text())
    dashboard = yaml.safe_load((folder / "dashboard-overview.yaml").read_text())
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert list(dashboard["data"].values()) == [(project / "grafana/dashboards/overview.json").read_text()]
    kubernetes_validate.validate(dashboard, VERSIONS[0], strict=True)
    assert yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"] == [
        "podmonitor.yaml",
        "rule-server.yaml",
        "dashboard-overview.yaml",
    ]


def test_the_check_names_what_is_stale_and_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"], project) == 1
    assert not list((project / generate.COMPONENT).glob("rule-*"))
    generate.main([], project)
    assert generate.main(["--check"], project) == 0
    (project / "grafana/dashboards/overview.json").write_text("{}\n")
    (project / "prometheus/rules/server.yml").unlink()
    capsys.readouterr()
    assert generate.main(["--check"], project) == 1
    said = capsys.readouterr().out
    for name in ("dashboard-overview.yaml", "rule-server.yaml", "kustomization.yaml"):
        assert f"stale: {generate.COMPONENT.as_posix()}/{name}" in said
    assert generate.main([], project) == 0
    assert not (project / generate.COMPONENT / "rule-server.yaml").exists()
    assert generate.main(["--check"], project) == 0


def test_a_dashboard_that_no_configmap_holds_is_an_error(project: Path) -> None:
    (project / "grafana/dashboards/overview.json").write_text("x" * (generate.MAX_CONFIG_MAP + 1))
    with pytest.raises(ValueError, match=r"overview\.json is larger than 1 MiB"):
        generate.main([], project)
