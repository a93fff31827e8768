# Images of Almanac, one a target. All packages come from uv.lock with their hashes; bytecode is compiled
# while the image is built, because nothing in it can be written later.
#
#   target    what it holds                                            who runs in it
#   steps     the lock without TensorFlow                              steps that load no Keras model; the command line
#   trainer   the whole lock; --build-arg ACCELERATOR=cuda: with       train_model, evaluate_model, compress_model
#             NVIDIA's libraries, for nodes with such a GPU
#   serving   the lock without Beam and Great Expectations             the model server; validate_serving, deploy_model
#   gateway   the lock without every heavy package, and of TensorFlow  the gateway
#             only the generated message classes
#
#   docker build --target steps --tag almanac/steps:0.1.0-python3.11 .
#
# `make images` builds them without a Docker daemon. Builds trust the certificates of the base image: behind a
# proxy with its own, mount its bundle over /etc/ssl/certs/ca-certificates.crt while building.
#
# State is mounted at /var/lib/almanac and must be writable for user 10001; the root file system may be
# read-only as long as /tmp is a tmpfs.

FROM docker.io/library/python:3.11.15-slim-bookworm AS python
ENV PATH=/opt/almanac/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# --- uv and the lock: shared by the four environments ---------------------------------------------------
FROM python AS lock
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_NO_PROGRESS=1 \
    UV_PROJECT_ENVIRONMENT=/opt/almanac \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=true \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check uv==0.13.8
WORKDIR /app
COPY pyproject.toml uv.lock ./

# C++ headers of TensorFlow, 200 MB, are of use to who compiles operations.
FROM lock AS trainer-packages
ARG ACCELERATOR=cpu
RUN /opt/uv/bin/uv sync --locked --no-dev --no-install-project --compile-bytecode --extra "${ACCELERATOR}" \
 && rm -f /opt/almanac/.lock \
 && rm -r /opt/almanac/lib/python3.11/site-packages/tensorflow/include

# --prune leaves out a package and all that only it needs; the rest keeps the versions and hashes of the lock. uv leaves a file behind
# by which it excludes others, and which everybody may write.
FROM lock AS steps-packages
RUN /opt/uv/bin/uv export --quiet --locked --no-dev --no-emit-project --output-file /tmp/packages.txt \
      --prune tensorflow --prune tensorflow-serving-api --prune keras \
 && /opt/uv/bin/uv venv /opt/almanac \
 && /opt/uv/bin/uv pip install --python /opt/almanac --require-hashes --compile-bytecode --requirement /tmp/packages.txt \
 && rm -f /opt/almanac/.lock

FROM lock AS serving-packages
RUN /opt/uv/bin/uv export --quiet --locked --no-dev --no-emit-project --output-file /tmp/packages.txt \
      --prune apache-beam --prune great-expectations --prune ai-edge-quantizer \
 && /opt/uv/bin/uv venv /opt/almanac \
 && /opt/uv/bin/uv pip install --python /opt/almanac --require-hashes --compile-bytecode --requirement /tmp/packages.txt \
 && rm -f /opt/almanac/.lock \
 && rm -r /opt/almanac/lib/python3.11/site-packages/tensorflow/include

FROM lock AS gateway-packages
RUN /opt/uv/bin/uv export --quiet --locked --no-dev --no-emit-project --output-file /tmp/packages.txt \
      --prune tensorflow --prune tensorflow-serving-api --prune keras --prune ai-edge-litert --prune ai-edge-quantizer \
      --prune apache-beam --prune great-expectations --prune mlflow --prune matplotlib \
      --prune kfp --prune kfp-kubernetes \
 && /opt/uv/bin/uv venv /opt/almanac \
 && /opt/uv/bin/uv pip install --python /opt/almanac --require-hashes --compile-bytecode --requirement /tmp/packages.txt \
 && rm -f /opt/almanac/.lock

# --- the code, compiled ---------------------------------------------------------------------------------
FROM python AS code
WORKDIR /app
COPY pyproject.toml uv.lock LICENSE ./
COPY forecasting ./forecasting
COPY components ./components
COPY pipelines ./pipelines
COPY serving ./serving
# By hash and unchecked: files of an image never change, and their times may be set by who builds it.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash .

# A first process for servers that do not handle signals themselves; a pod copies it out of the image of the gateway.
FROM python AS tini
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini=0.19.0-1+b3 \
 && rm -rf /var/lib/apt/lists/*

# --- what all images share: a user without rights, state in one place ------------------------------------
FROM python AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Almanac" \
      org.opencontainers.image.description="Turns a table of time series into a forecasting service that retrains itself." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# HOME and the caches of libraries point at /tmp, the one place that is always writable.
ENV ALMANAC_HOME=/var/lib/almanac \
    ALMANAC_REVISION=${REVISION} \
    PYTHONPATH=/app \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    GX_ANALYTICS_ENABLED=false \
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false \
    TF_CPP_MIN_LOG_LEVEL=2
RUN groupadd --gid 10001 almanac \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin almanac \
 && install --directory --owner=10001 --group=10001 /var/lib/almanac \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
WORKDIR /app
COPY --from=code /app /app
VOLUME /var/lib/almanac

# --- targets --------------------------------------------------------------------------------------------
FROM runtime AS steps
COPY --from=steps-packages /opt/almanac /opt/almanac
USER 10001:10001
ENTRYPOINT ["python", "-m", "pipelines.cli"]
CMD ["--help"]

FROM runtime AS trainer
COPY --from=trainer-packages /opt/almanac /opt/almanac
USER 10001:10001
ENTRYPOINT ["python", "-m", "pipelines.cli"]
CMD ["--help"]

FROM runtime AS serving
COPY --from=serving-packages /opt/almanac /opt/almanac
USER 10001:10001
EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/readyz', timeout=4)"]
ENTRYPOINT ["python", "-m", "serving.model_server"]
CMD ["--bind_address=0.0.0.0", "--port=8500", "--rest_api_port=8501", "--prefer_tflite_model=true", \
     "--model_config_file=/var/lib/almanac/models/models.config", "--model_config_file_poll_wait_seconds=5", \
     "--monitoring_config_file=/app/serving/monitoring.config"]

FROM runtime AS gateway
COPY --from=tini /usr/bin/tini-static /usr/bin/tini-static
COPY --from=gateway-packages /opt/almanac /opt/almanac
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
# What is given after the image name is added: --model=NAME --grpc=HOST:8500, and --tokens=FILE (or $ALMANAC_TOKENS, or --open).
ENTRYPOINT ["python", "-m", "serving.gateway", "--bind-address=0.0.0.0", "--models-dir=/var/lib/almanac/models"]
