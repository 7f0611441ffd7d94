# One image for every service: `asyncapiproxy proxy`, `executor`, `operator`, `migrate`, …
# Needs nothing of BuildKit, and of its base a Python with venv.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/asyncapiproxy \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=true \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    VIRTUAL_ENV=
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --quiet 'uv==0.13.9'
WORKDIR /src
COPY pyproject.toml uv.lock ./
# The dependencies are a layer of their own: they change far less often than the code.
RUN /opt/uv/bin/uv sync --locked --no-dev --extra all --no-install-project
COPY README.md LICENSE ./
COPY tasks tasks
COPY proxy proxy
COPY executor executor
COPY operator operator
COPY cli cli

# For `skaffold dev`: the code in place, and a service that starts anew when a file changes.
FROM build AS dev
RUN /opt/uv/bin/uv sync --locked --no-dev --extra all && chown -R 10001:10001 /src
ENV PATH=/opt/asyncapiproxy/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ASYNCAPIPROXY_HOST=0.0.0.0
USER 10001:10001
ENTRYPOINT ["sh", "-c", "exec watchfiles --filter python --sigint-timeout 30 \"asyncapiproxy $*\" /src", "asyncapiproxy"]

FROM build AS installed
RUN /opt/uv/bin/uv sync --locked --no-dev --extra all --no-editable && rm -f /opt/asyncapiproxy/.lock

FROM ${BASE} AS runtime
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="AsyncApiProxy" \
      org.opencontainers.image.description="An HTTP front door for slow APIs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=installed /opt/asyncapiproxy /opt/asyncapiproxy
ENV PATH=/opt/asyncapiproxy/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ASYNCAPIPROXY_HOST=0.0.0.0
WORKDIR /
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["asyncapiproxy"]
