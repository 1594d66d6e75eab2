# A scoring worker. Build from the repository's root:
#   docker build -f docker/worker.Dockerfile .                            on CPUs, without torch
#   docker build -f docker/worker.Dockerfile --build-arg EXTRA=worker .   on GPUs: pip's torch brings CUDA; run with --gpus all
FROM python:3.12-slim
ARG EXTRA=cpu
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE /src/
COPY connector /src/connector
COPY workers /src/workers
COPY mappings /src/mappings
RUN pip install --no-cache-dir -c /src/constraints.txt "/src[$EXTRA]" && rm -rf /src \
 && useradd --create-home --uid 10001 bridge
USER bridge
EXPOSE 9464
# The process lives. Whether its model is warm, its heartbeat says: `rerank-bridge doctor`.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/metrics', timeout=5)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["rerank-bridge", "worker"]
CMD ["--metrics-port", "9464"]
