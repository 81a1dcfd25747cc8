# Two images from one file:
#   docker build --target registry -t edgezoo-registry .   the server, without TensorFlow
#   docker build --target builder  -t edgezoo-builder .    builds manifests; has TensorFlow
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS wheel
WORKDIR /src
RUN pip install --no-cache-dir "hatchling>=1.27" "build>=1.2"
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY registry registry
COPY builders builders
COPY client client
COPY manifests manifests
RUN python -m build --wheel --no-isolation --outdir /dist

FROM python:${PYTHON} AS registry-deps
COPY requirements-registry.lock /tmp/
RUN python -m venv /opt/zoo && /opt/zoo/bin/pip install --no-cache-dir --require-hashes -r /tmp/requirements-registry.lock
COPY --from=wheel /dist/*.whl /tmp/
RUN /opt/zoo/bin/pip install --no-cache-dir --no-deps /tmp/*.whl

# what a visitor's browser runs: fetched by npm and verified here, so that the server's image needs no npm
FROM registry-deps AS litertjs
RUN apt-get update && apt-get install -y --no-install-recommends npm && rm -rf /var/lib/apt/lists/*
RUN ZOO_LITERTJS=/opt/litertjs /opt/zoo/bin/zoo devices install web-wasm

FROM python:${PYTHON} AS builder-deps
COPY requirements.lock /tmp/
RUN python -m venv /opt/zoo && /opt/zoo/bin/pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock
COPY --from=wheel /dist/*.whl /tmp/
RUN /opt/zoo/bin/pip install --no-cache-dir --no-deps /tmp/*.whl

FROM python:${PYTHON} AS builder
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home zoo && mkdir /work && chown zoo /work
COPY --from=builder-deps /opt/zoo /opt/zoo
ENV PATH=/opt/zoo/bin:$PATH PYTHONUNBUFFERED=1
USER zoo
WORKDIR /work
ENTRYPOINT ["zoo"]
CMD ["--help"]

FROM python:${PYTHON} AS registry
RUN useradd --uid 10001 --create-home zoo && mkdir /data && chown zoo /data
COPY --from=registry-deps /opt/zoo /opt/zoo
COPY --from=litertjs /opt/litertjs /opt/litertjs
ENV PATH=/opt/zoo/bin:$PATH PYTHONUNBUFFERED=1 ZOO_LITERTJS=/opt/litertjs ZOO_DB=sqlite:////data/zoo.db ZOO_STORE=file:///data/store
USER zoo
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["zoo"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
