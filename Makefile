# make run: the quickstart.  make test: every test.  Both set up .venv first, from requirements.lock, where it is not there.

# The first Python of a right version; name another with `make PYTHON=/path/to/python run`.
SUPPORTED = import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	"$$p" -c "$(SUPPORTED)" 2>/dev/null && { echo "$$p"; break; }; done)

.PHONY: run test notebooks lock clean

run: .venv/ready
	.venv/bin/python run_experiments.py params/quickstart.yaml --overwrite

test: .venv/ready
	.venv/bin/python -m pytest -q -rs

# Execute the notebooks again, in place, as they are committed. The exercises are handed out unsolved: they would fail.
TO_EXECUTE = $(filter-out notebooks/07_exercises.ipynb,$(wildcard notebooks/*.ipynb))
notebooks: .venv/ready
	.venv/bin/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False $(TO_EXECUTE)

# Resolve the newest versions for every supported Python into requirements.lock.
lock: .venv/ready
	.venv/bin/python -m pip install --quiet uv
	.venv/bin/uv pip compile pyproject.toml --extra test --universal --python-version 3.10 --upgrade \
		--no-header --no-annotate --no-emit-index-url --output-file requirements.lock

clean:
	rm -rf .venv

.venv/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" && "$(PYTHON)" -c "$(SUPPORTED)" 2>/dev/null || { echo "This project needs Python 3.10, 3.11, 3.12 or 3.13, and '$(or $(PYTHON),python3)' is none of them. Install one, or name it: make PYTHON=/path/to/python $(or $(MAKECMDGOALS),run)" >&2; exit 1; }
	@"$(PYTHON)" -c "import ensurepip, venv" 2>/dev/null || { echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv with $$("$(PYTHON)" --version): a few minutes, once"
	"$(PYTHON)" -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv/ready
