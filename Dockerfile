# driftwatch as a container: uid 10001, state on one volume, nothing else writable.
#
#   docker build -t driftwatch .                                            asks over HTTP, embeds nothing: small
#   docker build -t driftwatch:embed --build-arg EXTRAS=embed,lang,postgres .   with sentence-transformers and torch
#
# Which torch? pip takes the build that its index offers: the CUDA one on the public index. For the much smaller CPU build
# pass `--build-arg TORCH_INDEX=<the address that pytorch.org shows for pip and CPU>`; for a certain CUDA, that one's.

# An argument, so that a mirrored or hardened image with Python 3.11 or later can stand in.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ARG EXTRAS=lang,postgres
ARG TORCH_INDEX=
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY driftwatch driftwatch
COPY checks checks
COPY examples/help-centre examples/help-centre
# Neither pip nor the packages' own tests are any use in a container; setuptools stays where something needs it.
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip uninstall --yes --quiet setuptools \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt \
        ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} ".[${EXTRAS}]" \
 && /opt/venv/bin/pip uninstall --yes --quiet pip \
 && find /opt/venv -type d -name tests -prune -exec rm -rf {} +

FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 10001 driftwatch \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/driftwatch --shell /usr/sbin/nologin driftwatch \
 && install --directory --owner 10001 --group 10001 --mode 0750 /var/lib/driftwatch
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DRIFTWATCH_CONFIG=/etc/driftwatch/driftwatch.yaml \
    HOME=/var/lib/driftwatch \
    HF_HOME=/var/lib/driftwatch/hf \
    TOKENIZERS_PARALLELISM=false
# Mount driftwatch.yaml, checks/ and canaries/ here, read-only; keep the database on the volume.
WORKDIR /etc/driftwatch
USER 10001:10001
VOLUME /var/lib/driftwatch
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=10s --start-period=60s --retries=3 CMD ["driftwatch", "healthcheck"]
ENTRYPOINT ["tini", "-g", "--", "driftwatch"]
CMD ["run"]
