# llama-server and its exporter in one container: the exporter is PID 1 and runs llama-server as its child.
#
#   docker build -t llama-server-exporter .                                              # NVIDIA
#   docker build -t llama-server-exporter --build-arg LLAMA_CPP_TAG=server .             # CPU; also server-rocm, server-vulkan
#   docker build -t llama-server-exporter --build-arg LLAMA_CPP_TAG=server-cuda-b9999 .  # one build of llama.cpp, for good
#
# The official images are Ubuntu, hold /app/llama-server with its libraries beside it, and have no Python.
ARG LLAMA_CPP_IMAGE=ghcr.io/ggml-org/llama.cpp
ARG LLAMA_CPP_TAG=server-cuda

FROM ${LLAMA_CPP_IMAGE}:${LLAMA_CPP_TAG} AS python
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: take an image of llama.cpp on Ubuntu 24.04 or newer")'

# Built where it will run, with the same Python; only the environment goes on, without pip.
FROM python AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY deploy/requirements.txt deploy/requirements-build.txt deploy/
RUN python3 -m venv /opt/llama-exporter \
    && /opt/llama-exporter/bin/pip install --require-hashes --only-binary :all: -r deploy/requirements.txt \
    && python3 -m venv /build \
    && /build/bin/pip install --require-hashes --only-binary :all: -r deploy/requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
# The page links to them.
COPY docs/metrics.md docs/openapi.yaml docs/
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/llama-exporter/bin/pip install --no-deps --no-index /dist/*.whl \
    && /opt/llama-exporter/bin/pip check \
    && /opt/llama-exporter/bin/pip uninstall -y pip

FROM python
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="llama-server exporter" \
      org.opencontainers.image.description="Runs llama.cpp's llama-server and exports its metrics, its log and its host's" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# NVIDIA's device files are open to every user; /dev/dri and /dev/kfd need their groups (compose.rocm.yml, compose.vulkan.yml).
# The home is the one writable place: downloaded models and the drivers' caches of compiled kernels.
# /var/lib/llama-exporter is for what the exporter keeps: a volume that is mounted there begins with its owner and mode.
RUN groupadd --system --gid 10001 llama \
    && useradd --system --gid llama --uid 10001 --create-home --skel /dev/null --home-dir /var/cache/llama --shell /usr/sbin/nologin llama \
    && install --directory --owner=llama --group=llama --mode=700 /var/lib/llama-exporter
COPY --from=build /opt/llama-exporter /opt/llama-exporter
COPY deploy/with-state /usr/local/bin/
ENV PATH=/opt/llama-exporter/bin:${PATH} \
    HOME=/var/cache/llama \
    LLAMA_CACHE=/var/cache/llama \
    LLAMA_EXPORTER_SERVER__BINARY=/app/llama-server \
    LLAMA_EXPORTER_SERVER__HOST=0.0.0.0 \
    LLAMA_EXPORTER_WEB__LISTEN_ADDRESS=0.0.0.0:9842
WORKDIR /app
USER 10001:10001
EXPOSE 8080 9842
# Of the exporter alone: a llama-server that is down is restarted by it, not by Docker. /-/ready tells of llama-server.
HEALTHCHECK --interval=15s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9842/-/healthy', timeout=4)"]
ENTRYPOINT ["llama-exporter"]
CMD []
