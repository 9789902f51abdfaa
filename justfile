# Shortcuts; each one is a command that stands in README.md, CONTRIBUTING.md or .ci/.

# Lists the shortcuts.
default:
    @just --list

# Builds the command.
build:
    cargo build --release

# Runs all tests.
test:
    cargo test --workspace

# Checks what a contributor changed: format, clippy, layout, unit tests.
quick:
    .ci/quick

# Checks everything, as a clean checkout.
ci:
    .ci/run

# Shows the manual as a book.
book:
    mdbook serve docs

# Makes again what commands generate into docs/generated/.
generate:
    docs/generate

# Checks licences and sources of the dependencies.
deny:
    .ci/deny
