# Images of one product: `light` is the site and the labelling workers, `training` has TensorFlow besides, `backup` is
# `light` with PostgreSQL's programs for backups.
# See docs/containers.md. Any base with Python 3.11 to 3.13 does; `make base` makes this one of Debian's packages.
ARG BASE=localhost/python-base:bookworm

FROM ${BASE} AS light-packages
# Another index, or a folder of wheels: pip reads these variables.
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -c 'import ensurepip, venv' 2>/dev/null || \
    { apt-get update && apt-get install -y --no-install-recommends python3-venv; }
RUN python3 -m venv /opt/venv && python3 -m venv /opt/tools
COPY requirements-delivery.lock requirements-light.lock /build/
RUN /opt/tools/bin/python -m pip install --quiet --require-hashes -r /build/requirements-delivery.lock
RUN /opt/venv/bin/python -m pip install --quiet --require-hashes --no-compile -r /build/requirements-light.lock
COPY deploy/prune.py /build/
RUN /opt/venv/bin/python /build/prune.py /opt/venv && \
    /opt/tools/bin/cyclonedx-py environment --output-reproducible -o /opt/venv/sbom.cdx.json /opt/venv/bin/python

FROM light-packages AS training-packages
RUN python3 -m venv /opt/venv
COPY requirements.lock /build/
RUN /opt/venv/bin/python -m pip install --quiet --require-hashes --no-compile -r /build/requirements.lock
RUN /opt/venv/bin/python /build/prune.py /opt/venv && \
    /opt/tools/bin/cyclonedx-py environment --output-reproducible -o /opt/venv/sbom.cdx.json /opt/venv/bin/python

FROM ${BASE} AS product
COPY manage.py gunicorn.conf.py LICENSE /opt/catalogue/
COPY config /opt/catalogue/config
COPY templates /opt/catalogue/templates
COPY catalog /opt/catalogue/catalog
COPY classifier /opt/catalogue/classifier
# What is written lies in one folder, for any user of the group 0.
RUN chmod -R a+rX /opt/catalogue && mkdir -p /var/lib/catalogue && chmod 2770 /var/lib/catalogue && \
    python3 -m compileall -q /opt/catalogue
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    VAR_DIR=/var/lib/catalogue LOG_FORMAT=json WORKER_ALIVE_FILE=/tmp/worker-alive \
    REMAP_SIGTERM=SIGQUIT
WORKDIR /opt/catalogue
USER 10001:0
VOLUME /var/lib/catalogue
EXPOSE 8000
# Gunicorn answers what it has in hand; a worker, by REMAP_SIGTERM, finishes its batch or gives it back after 30 s.
STOPSIGNAL SIGTERM
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000", "--worker-tmp-dir", "/tmp"]

FROM product AS light
COPY --from=light-packages /opt/venv /opt/venv
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Fashion catalogue, light" \
      org.opencontainers.image.description="The site and the labelling workers" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"

# Programs of the server's version or newer: Debian's, or PostgreSQL's own where Debian has none of that version.
FROM light AS backup
ARG POSTGRESQL=18
USER 0:0
RUN apt-get update && \
    { apt-get install -y --no-install-recommends "postgresql-client-$POSTGRESQL" || \
      { apt-get install -y --no-install-recommends ca-certificates postgresql-common && \
        /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && \
        apt-get install -y --no-install-recommends "postgresql-client-$POSTGRESQL" && \
        apt-get purge -y --auto-remove postgresql-common; }; } && \
    rm -rf /var/lib/apt/lists/*
USER 10001:0
LABEL org.opencontainers.image.title="Fashion catalogue, backup" \
      org.opencontainers.image.description="The light image with the client programs of PostgreSQL"

FROM product AS training
COPY --from=training-packages /opt/venv /opt/venv
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Fashion catalogue, training" \
      org.opencontainers.image.description="The training worker, and all commands" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"
