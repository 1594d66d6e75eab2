"""OpenSearch with k-NN from its public Java artifacts: a node on loopback without security, for demo and tests.

The jars are those of the version served; what is published in no artifact of its own (the agent, one module, plugin
descriptors) comes from a server archive of the next version, with the version in the descriptors set back.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from connector.embedded import artifacts, distribution, errors
from connector.embedded.distribution import Tools
from connector.embedded.rundir import RunFolder

__all__ = ["OpenSearch"]

LOCK = "opensearch-3.5.lock.json"
#: Raise it when `assemble` changes what it makes.
LAYOUT = 1
FROM_ZIP = ("plugin-descriptor.properties", "plugin-security.policy")
#: The k-NN plugin asks for a module that is not there; what it needs of it lies beside the plugin.
EXTENDS = b"extended.plugins=lang-painless,transport-grpc;optional=true"
#: The runtime lacks Thai break rules, and nothing else is wanted from the locale jar.
SERVICES = "META-INF/services/"
KEPT_SERVICE = SERVICES + "java.text.spi.BreakIteratorProvider"


class OpenSearch:
    """OpenSearch 3.5."""

    name = "opensearch"

    def __init__(self) -> None:
        self._lock = distribution.load_lock(LOCK)
        self._places = [(artifacts.from_lock(jar), str(jar["to"])) for jar in self._lock["jars"]]
        self._server_zip = artifacts.from_lock(self._lock["server_zip"])
        self._knn_zip = artifacts.from_lock(self._lock["knn_zip"])
        self._locale_jar = artifacts.from_lock(self._lock["locale_jar"])
        self.version = str(self._lock["version"])
        self.title = f"OpenSearch {self.version}"
        jars = [artifact for artifact, _ in self._places]
        self.artifacts = [*jars, self._server_zip, self._knn_zip, self._locale_jar]
        made_of = f"{LAYOUT} {json.dumps(self._lock, sort_keys=True)}"
        self.recipe = hashlib.sha256(made_of.encode()).hexdigest()[:8]

    def assemble(self, home: Path, tools: Tools) -> None:
        """Lay out lib/, agent/, modules/ and plugins/, and the bin/ that the security manager's rules name."""
        (home / "bin").mkdir()
        for artifact, place in self._places:
            distribution.link(tools.files[artifact], home / place)
        self._unpack_knn(home / self._lock["knn_zip"]["to"], tools.files[self._knn_zip])
        with zipfile.ZipFile(tools.files[self._server_zip]) as archive:
            self._take_members(home, archive)
            self._take_descriptors(home, archive)
        self._strip_locale_jar(home / self._lock["locale_jar"]["to"], tools.files[self._locale_jar])

    def _unpack_knn(self, plugin: Path, source: Path) -> None:
        with zipfile.ZipFile(source) as archive:
            archive.extractall(plugin)
        descriptor = plugin / "plugin-descriptor.properties"
        lines = descriptor.read_bytes().splitlines()
        edited = [EXTENDS if line.startswith(b"extended.plugins=") else line for line in lines]
        descriptor.write_bytes(b"\n".join(edited) + b"\n")

    def _take_members(self, home: Path, archive: zipfile.ZipFile) -> None:
        for entry in self._lock["server_zip"]["take"]:
            body = archive.read(entry["member"])
            if (found := hashlib.sha256(body).hexdigest()) != entry["sha256"]:
                raise errors.DigestMismatch(f"{entry['member']}: sha256 {found}, expected {entry['sha256']}")
            target = home / entry["to"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)

    def _take_descriptors(self, home: Path, archive: zipfile.ZipFile) -> None:
        theirs = str(self._lock["server_zip"]["version"])
        members = set(archive.namelist())
        for module in sorted((home / "modules").iterdir()):
            for name in FROM_ZIP:
                member = f"opensearch-{theirs}/modules/{module.name}/{name}"
                if member in members:
                    body = archive.read(member).replace(theirs.encode(), self.version.encode())
                    (module / name).write_bytes(body)

    def _strip_locale_jar(self, target: Path, source: Path) -> None:
        stripped = io.BytesIO()
        with zipfile.ZipFile(source) as full, zipfile.ZipFile(stripped, "w") as kept:
            for item in full.infolist():
                if not item.filename.startswith(SERVICES) or item.filename == KEPT_SERVICE:
                    kept.writestr(item, full.read(item))
        target.write_bytes(stripped.getvalue())

    def configure(self, home: Path, run: RunFolder, settings: Mapping[str, object]) -> None:  # noqa: ARG002  the seam's
        """Write opensearch.yml and log4j2.properties."""
        (run.config / "opensearch.yml").write_text(json.dumps(dict(settings), indent=1))
        (run.config / "log4j2.properties").write_text(distribution.LOG4J)

    def command(self, java: Path, home: Path, run: RunFolder, heap_mb: int) -> list[str]:
        """Java with the flags of the server's own launcher that matter here; the agent is required."""
        return [
            str(java),
            *distribution.java_flags(run, heap_mb),
            f"-javaagent:{home}/agent/opensearch-agent.jar",
            "-Djava.locale.providers=SPI,CLDR",
            f"-Dopensearch.path.home={home}",
            f"-Dopensearch.path.conf={run.config}",
            "-Dopensearch.distribution.type=zip",
            "-Dopensearch.bundled_jdk=false",
            "-cp",
            f"{home}/lib/*",
            "org.opensearch.bootstrap.OpenSearch",
        ]
