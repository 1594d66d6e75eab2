"""Elasticsearch from its public Java artifacts: a node on loopback without security, for demo and tests.

The server's own launcher insists on modules that are not published, so `java/EsNode.java` constructs the node, and
`java/MiniRoot.java` supplies `GET /` and the english analyzer.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from connector.embedded import artifacts, distribution, java
from connector.embedded.distribution import Tools
from connector.embedded.rundir import RunFolder

__all__ = ["Elasticsearch"]

LOCK = "elasticsearch-9.5.lock.json"
#: Raise it when `assemble` changes what it makes.
LAYOUT = 1
NODE = "EsNode.java"
PLUGIN = "MiniRoot.java"
DESCRIPTOR = """\
name={name}
description={name} for the stack on one machine
classname={classname}
version={version}
elasticsearch.version={version}
java.version=21
"""


class Elasticsearch:
    """Elasticsearch 9.5."""

    name = "elasticsearch"

    def __init__(self) -> None:
        self._lock = distribution.load_lock(LOCK)
        self._places = [(artifacts.from_lock(jar), str(jar["to"])) for jar in self._lock["jars"]]
        self._compiler = artifacts.from_lock(self._lock["compiler"])
        self.version = str(self._lock["version"])
        self.title = f"Elasticsearch {self.version}"
        self.artifacts = [*(artifact for artifact, _ in self._places), self._compiler]
        sources = [distribution.package_file("java", name) for name in (NODE, PLUGIN)]
        made_of = [f"{LAYOUT} {json.dumps(self._lock, sort_keys=True)}".encode(), DESCRIPTOR.encode(), *sources]
        self.recipe = hashlib.sha256(b"\0".join(made_of)).hexdigest()[:8]

    def assemble(self, home: Path, tools: Tools) -> None:
        """Lay out lib/ and modules/ and compile the two classes."""
        for artifact, place in self._places:
            distribution.link(tools.files[artifact], home / place)
        plugin = home / "modules" / "mini-root"
        plugin.mkdir()
        self._compile(NODE, home / "esnode.jar", home, tools)
        self._compile(PLUGIN, plugin / "mini-root.jar", home, tools)
        self._describe(plugin, "MiniRoot")
        self._describe(home / "modules" / "transport-netty4", "org.elasticsearch.transport.netty4.Netty4Plugin")

    def _compile(self, source: str, jar: Path, home: Path, tools: Tools) -> None:
        work = home / "compile"
        work.mkdir()
        (work / source).write_bytes(distribution.package_file("java", source))
        java.compile_into(
            work / "classes",
            work / source,
            java=tools.java,
            compiler=tools.files[self._compiler],
            class_path=sorted((home / "lib").glob("*.jar")),
        )
        with zipfile.ZipFile(jar, "w") as archive:
            for path in sorted((work / "classes").rglob("*.class")):
                archive.write(path, path.relative_to(work / "classes"))
        shutil.rmtree(work)

    def _describe(self, module: Path, classname: str) -> None:
        text = DESCRIPTOR.format(name=module.name, classname=classname, version=self.version)
        (module / "plugin-descriptor.properties").write_text(text)

    def configure(self, home: Path, run: RunFolder, settings: Mapping[str, object]) -> None:  # noqa: ARG002  the seam's
        """Write elasticsearch.yml and log4j2.properties; without the latter a failed boot says nothing."""
        (run.config / "elasticsearch.yml").write_text(json.dumps(dict(settings), indent=1))
        (run.config / "log4j2.properties").write_text(distribution.LOG4J)

    def command(self, java: Path, home: Path, run: RunFolder, heap_mb: int) -> list[str]:
        """Java with the flags of the server's own launcher that matter here."""
        return [
            str(java),
            *distribution.java_flags(run, heap_mb),
            f"-Des.path.home={home}",
            f"-Des.nativelibs.path={home}/native",
            "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",
            "-cp",
            f"{home}/esnode.jar:{home}/lib/*",
            "EsNode",
            str(home),
            str(run.config),
        ]
