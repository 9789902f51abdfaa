//! The manual's reference of the functions is what the function table says.

#[test]
fn the_reference_of_the_functions_is_that_of_the_table() {
    let page = include_str!("../../docs/generated/functions.md");
    let command = "cargo run -p symopt-dsl --example functions > docs/generated/functions.md";
    assert_eq!(page, symopt_dsl::reference::functions(), "make it again: {command}");
}

#[test]
fn the_manual_has_the_ranges_of_hyperparameters() {
    let page = include_str!("../../docs/language.md");
    let rows = include_str!("../src/range.rs").lines().filter_map(|line| line.strip_prefix("//! "));
    let rows: Vec<&str> = rows.filter(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 5 && page.contains(&rows.join("\n")), "docs/language.md lacks a row");
}
