# The proxy: no torch, no numpy. Build from the repository's root: docker build -f docker/connector.Dockerfile .
FROM python:3.12-slim
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE /src/
COPY connector /src/connector
COPY workers /src/workers
COPY mappings /src/mappings
RUN pip install --no-cache-dir -c /src/constraints.txt '/src[serve,jobs]' && rm -rf /src \
 && useradd --create-home --uid 10001 bridge && install -d -o bridge /jobs
USER bridge
EXPOSE 9250
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9250/_rerank/health/live', timeout=2)"]
ENTRYPOINT ["rerank-bridge"]
CMD ["serve", "--host", "0.0.0.0", "--port", "9250"]
