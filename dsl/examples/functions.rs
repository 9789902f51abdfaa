//! Prints the reference of the language's functions: `docs/generated/functions.md`.

fn main() {
    print!("{}", symopt_dsl::reference::functions());
}
