# make run   sets up and opens the demo (without a display: renders it to out/demo.png)
# make test  sets up and runs lint, types, import contracts and all tests
# make bench measures everything beside its rivals: out/bench/BENCH.md; BENCH='--list' for what there is
PYTHON = .venv/bin/python

.PHONY: run test bench lint clean

run:
	@sh scripts/setup.sh run
	@sh scripts/demo.sh

test:
	@sh scripts/setup.sh test
	@$(MAKE) --no-print-directory lint
	$(PYTHON) -m pytest

bench:
	@sh scripts/setup.sh bench
	@$(PYTHON) -m tests.bench.suite $(BENCH)

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports

clean:
	rm -rf .venv out build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
