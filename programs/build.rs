//! Compiles the zoo: every program in `zoo/` becomes fused Rust loops, one for each pass of its
//! plan; those with functions of matrices have none and are left out.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use symopt_dsl::{Graph, Plan, parse};
use symopt_export::native::fused_loops;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=zoo");
    let mut files: Vec<PathBuf> =
        fs::read_dir("zoo")?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "opt"));
    files.sort();

    let mut text = fused_loops::IMPORTS.to_owned();
    let mut list = String::new();
    for file in &files {
        let name = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .ok_or("a file of the zoo has a name that is no text")?;
        let program = parse(&fs::read_to_string(file)?)
            .map_err(|faults| format!("{}:\n{faults}", file.display()))?;
        let graph =
            Graph::new(&program).map_err(|errors| format!("{}: {errors:?}", file.display()))?;
        // A program of matrices does more than loops over numbers can: the tile machine runs it.
        let Ok(plan) = Plan::try_new(&graph, &program) else { continue };
        let snake = name.replace('-', "_");
        text += &fused_loops::passes(&snake, &plan);
        writeln!(list, "    ({name:?}, {}_PASSES),", snake.to_uppercase())?;
    }
    text += &format!(
        "/// The passes of every program in `zoo/` that has a plan, by name.\npub static COMPILED: &[(&str, &[CompiledPass])] = &[\n{list}];\n"
    );
    fs::write(Path::new(&env::var("OUT_DIR")?).join("compiled.rs"), text)?;
    Ok(())
}
