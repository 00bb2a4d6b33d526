# make run: the quickstart.  make test: every test.  Both set up .venv first, from requirements.lock, where it is not there,
# and anew where it is another folder's (this one was copied or moved) or its Python does not run.

# The first Python of a right version; name another with `make PYTHON=/path/to/python run`.
SUPPORTED = import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	"$$p" -c "$(SUPPORTED)" 2>/dev/null && { echo "$$p"; break; }; done)

.PHONY: run test notebooks report book lock clean

# Programs in .venv/bin name the Python that they run with.
USELESS := $(shell test ! -d .venv || { .venv/bin/python -c "" && grep -qF "$$(pwd -P)/.venv/" .venv/bin/pip; } 2>/dev/null || echo yes)
ifeq ($(USELESS),yes)
.PHONY: .venv/ready
endif

run: .venv/ready
	.venv/bin/python run_experiments.py params/quickstart.yaml --overwrite

# Two files at a time, in their order: notebooks come last, and take a minute at the most, so neither process waits long.
test: .venv/ready
	.venv/bin/python -m pytest -q -rs -n 2 --dist loadfile --no-loadscope-reorder

# Execute the notebooks again, in place, as they are committed. The exercises are handed out unsolved: they would fail.
EXECUTE = .venv/bin/python -m experiments.environment .venv/bin/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False
TO_EXECUTE = $(filter-out notebooks/07_exercises.ipynb,$(wildcard notebooks/*.ipynb))
notebooks: .venv/ready
	$(EXECUTE) $(TO_EXECUTE)

# Make the tables and figures of README and docs, the parameters cells of notebook 03 and run.ipynb, and notebook 04 anew;
# nothing is trained.
report: .venv/ready
	.venv/bin/python -m experiments.report
	$(EXECUTE) notebooks/04_results.ipynb

# The course as static pages in docs/_build/html, from the README, docs/ and the notebooks as committed; links are checked.
book: .venv/book
	rm -rf docs/_build
	mkdir -p docs/_build/source/docs
	cp -R README.md docs/index.md notebooks docs/_build/source
	cp -R $(filter-out docs/index.md,$(wildcard docs/*.md)) docs/images docs/_build/source/docs
	.venv/bin/python -m sphinx -W --keep-going -q -c docs docs/_build/source docs/_build/html
	.venv/bin/python docs/check.py

# Resolve the newest versions for every supported Python into requirements.lock. With the book's tools they are those of
# requirements-book.lock, which keeps to the same versions wherever the tools let it.
COMPILE = .venv/bin/uv pip compile pyproject.toml --extra test --universal --python-version 3.10 \
	--no-header --no-annotate
lock: .venv/ready
	.venv/bin/python -m pip install --quiet uv
	$(COMPILE) --upgrade --output-file requirements.lock
	cp requirements.lock requirements-book.lock
	$(COMPILE) --extra book --output-file requirements-book.lock

clean:
	rm -rf .venv

.venv/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" && "$(PYTHON)" -c "$(SUPPORTED)" 2>/dev/null || { echo "This project needs Python 3.10, 3.11, 3.12 or 3.13, and '$(or $(PYTHON),python3)' is none of them. Install one, or name it: make PYTHON=/path/to/python $(or $(MAKECMDGOALS),run)" >&2; exit 1; }
	@"$(PYTHON)" -c "import ensurepip, venv" 2>/dev/null || { echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv with $$("$(PYTHON)" --version): a few minutes, once"
	"$(PYTHON)" -m venv $(if $(USELESS),--clear) .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv/ready

.venv/book: .venv/ready requirements-book.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-book.lock
	@touch .venv/book
