"""The containers, as far as they can be checked without an engine to run them."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
KUBERNETES: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "docker/kubernetes/workers.yaml").read_text()))
SERVICES: dict[str, Any] = COMPOSE["services"]
COMMAND = Path(sys.executable).with_name("rerank-bridge")


def options(command: list[str]) -> str:
    """The help of a command, whose every option must be there."""
    shown = subprocess.run(
        [COMMAND, command[0], "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "200"}
    )
    return shown.stdout


@pytest.mark.parametrize("dockerfile", ["connector", "worker"])
def test_a_dockerfile_copies_only_what_is_there_and_ends_as_an_ordinary_user(dockerfile: str) -> None:
    text = (ROOT / f"docker/{dockerfile}.Dockerfile").read_text()
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split()), line
    assert re.search(r"^USER bridge$", text, re.MULTILINE)
    assert "HEALTHCHECK" in text


def test_services_wait_only_for_services_that_there_are() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name


def test_builds_name_dockerfiles_and_extras_that_there_are() -> None:
    extras = re.findall(r"^(\w[\w-]*) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    for service in SERVICES.values():
        if build := service.get("build"):
            assert (ROOT / build["dockerfile"]).is_file()
            assert build.get("args", {}).get("EXTRA", "cpu") in extras


@pytest.mark.parametrize("name", ["connector", "worker-gpu"])
def test_commands_use_options_that_the_program_has(name: str) -> None:
    command = SERVICES[name]["command"]
    command = command if name == "connector" else ["worker", *command]
    shown = options(command)
    assert all(option in shown for option in command if option.startswith("--"))


def test_the_broker_never_evicts_and_the_cache_may() -> None:
    assert "noeviction" in SERVICES["broker"]["command"]
    assert "allkeys-lru" in SERVICES["cache"]["command"]


def test_only_loopback_is_published() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", ["connector", "worker"])
def test_a_dockerfiles_default_command_uses_options_that_the_program_has(name: str) -> None:
    text = (ROOT / f"docker/{name}.Dockerfile").read_text()
    words = shlex.split(" ".join(re.findall(r"^CMD \[(.+)\]$", text, re.MULTILINE)).replace(",", " "))
    shown = options(words if name == "connector" else ["worker", *words])
    assert all(option in shown for option in words if option.startswith("--"))


def test_the_coordinator_of_jobs_is_started_by_options_that_the_program_has() -> None:
    shown = subprocess.run(
        [COMMAND, "jobs", "run", "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "200"}
    ).stdout
    deployments = {each["metadata"]["name"]: each for each in KUBERNETES if each["kind"] == "Deployment"}
    [container] = deployments["rerank-bridge-jobs"]["spec"]["template"]["spec"]["containers"]
    for command in (SERVICES["jobs"]["command"], container["args"]):
        assert command[:2] == ["jobs", "run"]
        assert all(option in shown for option in command if option.startswith("--"))


def test_kubernetes_objects_name_only_objects_that_there_are() -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in KUBERNETES}
    [scaled] = [each["spec"] for each in KUBERNETES if each["kind"] == "ScaledObject"]
    assert ("Deployment", scaled["scaleTargetRef"]["name"]) in names
    for trigger in scaled["triggers"]:
        if "authenticationRef" in trigger:
            assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in names
    for each in KUBERNETES:
        if each["kind"] != "Deployment":
            continue
        pod = each["spec"]["template"]["spec"]
        assert each["spec"]["selector"]["matchLabels"] == each["spec"]["template"]["metadata"]["labels"]
        assert pod["securityContext"]["runAsNonRoot"]
        secrets = [source["secretRef"]["name"] for container in pod["containers"] for source in container["envFrom"]]
        assert all(("Secret", name) in names for name in secrets)
        for volume in pod.get("volumes", []):
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
