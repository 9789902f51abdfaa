//! The README shows an example as it is.

#[test]
fn the_readme_shows_the_example_of_a_model_word_for_word() {
    let readme = include_str!("../../README.md");
    let example = include_str!("../examples/model.rs");
    let body = example.split_once("\n\n").map(|(_, body)| body.trim_end()).expect("a line that says what it is, then the code");
    assert!(readme.contains(body), "README.md should hold programs/examples/model.rs without its first line");
}
