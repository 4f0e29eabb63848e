# make run   sets up and opens the demo (without a display: renders it to out/demo.png)
# make test  sets up and runs lint, types, import contracts and all tests
PYTHON = .venv/bin/python

.PHONY: run test lint clean

run:
	@sh scripts/setup.sh run
	@sh scripts/demo.sh

test:
	@sh scripts/setup.sh test
	@$(MAKE) --no-print-directory lint
	$(PYTHON) -m pytest

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports

clean:
	rm -rf .venv out build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
