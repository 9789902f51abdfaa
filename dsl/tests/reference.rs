//! The manual's reference of the functions is what the function table says.

#[test]
fn the_reference_of_the_functions_is_that_of_the_table() {
    let page = include_str!("../../docs/generated/functions.md");
    let command = "cargo run -p symopt-dsl --example functions > docs/generated/functions.md";
    assert_eq!(page, symopt_dsl::reference::functions(), "make it again: {command}");
}
