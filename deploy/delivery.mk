# What delivers the product: images, lock files, gates. The workflows in .github call these targets alone.
# See docs/containers.md.

.PHONY: lock base pinned-base images push sign deploy secrets licences audit sbom lint-workflows

TOOLS := $(VENV)/delivery
BUILDER ?= buildah
BASE ?= localhost/python-base:bookworm
REVISION ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
IMAGE ?= localhost/fashion-catalogue
TARGETS ?= light training
# More options of the builder, such as a package mirror: BUILD_OPTIONS="--build-arg PIP_INDEX_URL=https://..."
BUILD_OPTIONS ?=
LOCKED := requirements-light requirements requirements-dev requirements-delivery

# Every package that the requirements name or need, with the hashes of its files, for Python 3.11 to 3.13.
lock: $(TOOLS)/installed
	for name in $(LOCKED); do $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --custom-compile-command "make lock" --output-file $$name.lock $$name.txt || exit 1; done

# Debian's own packages as a base, where no registry can be reached; root and the package mmdebstrap make it.
base:
	mkdir -p var
	mmdebstrap --variant=minbase --include=python3,ca-certificates bookworm var/base.tar
	podman import var/base.tar $(BASE)
	rm var/base.tar

# Docker's client builds them as well: make images BUILDER=docker BASE=python:3.11-slim-bookworm
images:
	for target in $(TARGETS); do $(BUILDER) build $(BUILD_OPTIONS) --build-arg BASE=$(BASE) --build-arg REVISION=$(REVISION) \
	  --target $$target --tag $(IMAGE):$$target . || exit 1; done

# What is released stands on a base that nobody can exchange.
pinned-base:
	@test -n "$(findstring @sha256:,$(BASE))" || { \
	  echo "Expected the base by its digest as BASE, IMAGE@sha256:..., found '$(BASE)'." >&2; exit 1; }

# What is published has a digest, which the next steps name; the outputs are those of a workflow's step.
OUTPUTS := $(or $(GITHUB_OUTPUT),/dev/stdout)
push: login
	for target in $(TARGETS); do docker push --quiet $(IMAGE):$$target && \
	  published=$$(docker inspect --format '{{index .RepoDigests 0}}' $(IMAGE):$$target) && \
	  echo "$$target=$${published#*@}" >> $(OUTPUTS) || exit 1; done

# By whoever runs it, whom the certificate names: no key is kept anywhere. An image's SBOM is signed with it.
sign: digests login
	sbom=$$(mktemp) && for digest in $(LIGHT) $(TRAINING); do cosign sign --yes $(IMAGE)@$$digest && \
	  docker run --rm $(IMAGE)@$$digest cat /opt/venv/sbom.cdx.json > $$sbom && \
	  cosign attest --yes --type cyclonedx --predicate $$sbom $(IMAGE)@$$digest || exit 1; done; rm $$sbom

# On the machine of an environment: only images of these digests, signed by this repository's release, are started.
deploy: export SECRETS_DIR := $(or $(SECRETS_DIR),/etc/catalogue/secrets)
deploy: digests login
	for digest in $(LIGHT) $(TRAINING); do cosign verify --certificate-identity $(SIGNED_BY) \
	  --certificate-oidc-issuer https://token.actions.githubusercontent.com $(IMAGE)@$$digest > /dev/null || exit 1; done
	[ -n "$$COMPOSE_FILE" ] || unset COMPOSE_FILE; LIGHT_IMAGE=$(IMAGE)@$(LIGHT) TRAINING_IMAGE=$(IMAGE)@$(TRAINING) docker compose up --detach --wait --remove-orphans

.PHONY: login digests
digests:
	@printf '%s %s' "$$LIGHT" "$$TRAINING" | grep -qxE 'sha256:[0-9a-f]{64} sha256:[0-9a-f]{64}' || { \
	  echo "Expected the images' digests as LIGHT and TRAINING, sha256:..., found '$$LIGHT' and '$$TRAINING'." >&2; exit 1; }

login:
	@test -z "$$REGISTRY_TOKEN" || \
	  echo "$$REGISTRY_TOKEN" | docker login --username "$$REGISTRY_USER" --password-stdin $(firstword $(subst /, ,$(IMAGE)))

# A password of its own for each that compose.yaml names; those that are there stay.
secrets:
	python3 deploy/make_secrets.py $(or $(SECRETS_DIR),deploy/secrets)

# Nothing with copyleft is in the runtime, but what deploy/licences.json names with a reason.
licences: $(TOOLS)/installed $(VENV)/installed-dev
	$(TOOLS)/bin/pip-licenses --python $(RUN) --from=mixed --with-system --format=json > $(TOOLS)/licences.json
	$(RUN) deploy/licences.py requirements.lock $(TOOLS)/licences.json

# Known vulnerabilities of what is locked; needs the network.
audit: $(TOOLS)/installed
	$(TOOLS)/bin/pip-audit --require-hashes --disable-pip --requirement requirements.lock

sbom: $(TOOLS)/installed $(VENV)/installed
	$(TOOLS)/bin/cyclonedx-py environment --output-reproducible --output-file sbom.cdx.json $(RUN)

lint-workflows: $(TOOLS)/installed
	$(TOOLS)/bin/zizmor --offline --strict-collection .github/workflows

$(TOOLS)/installed: requirements-delivery.lock | $(RUN)
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes --no-deps \
	  -r requirements-delivery.lock
	@touch $@
