//! The exports to C, Rust, JSON and LaTeX: the texts are read here, and compiled by the compilers
//! of their languages under their strictest warnings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use symopt_dsl::parse;
use symopt_export::{ExportError, Target, export};

/// Programs that no zoo has: numbers of an array and of all arrays in each other, slots that change
/// places, words of other languages as names.
const ODD: [&str; 6] = [
    "def mixed(w, g, m, t, lr, *, a=0.5):\n  n = norm(g)\n  u = g / (n + 1e-8)\n  d = dot(u, w)\n  n2 = norm(u * d + w)\n  k = dot(n, n2)\n  \
     c = cosine_sim(m, g + n)\n  m = interp(g * n2, m, a)\n  q = clip(m, k)\n  \
     update = (m * lr + q * c) / (n2 + 1.0) * global_norm(m)\n  return update, m\n",
    "def swap(w, g, a, b, c, k, lr):\n  update = (a + b * 0.5) * lr\n  old = b\n  b = a\n  a = old\n  c = w\n  return update, a, b, c, k\n",
    "\"\"\"Words: /* and */ and \\\\. \"\"\"\n@guarded\ndef words(w, g, int, match, lr, *, length=0.5, self=2.0):\n  int = interp(g, int, length)\n  \
     match = max(min(match, g), log1p(g)) + cube(int) * power(2.0, g) + reciprocal(sign(lr) + sqrt(self))\n  \
     update = int / match + exp10(g) * max(lr, self)\n  return update, int, match\n",
    "def plain(w, g):\n  update = 0.1 * w\n  return update\n",
    "def choices(w, g, m, t, lr, *, a=0.5):\n  mask = w * g > 0.0\n  few = mean(mask) <= a\n  k = size(g)\n  total = dot(k, norm(g))\n  \
     u = where(w < lr, g, where(t == 1, w, m + (g >= m))) * mask\n  m = where(few, where(a, u, w), u / k) * (few + total)\n  \
     update = where(lr < a, m, lr * (t < 5.0)) + where(total < k, 1.0, lr) * where(w, g, w == g)\n  return update, m\n",
    "def scaled(w, g):\n  update = w / size(w) * mean(g)\n  return update\n",
];

fn zoo(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../programs/zoo/{name}.opt"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn exported(text: &str, target: Target) -> (String, String) {
    let program = parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    (program.signature().name.clone(), export(&program, target).expect("it can be expressed"))
}

/// The programs of the zoo that work on matrices, which loops over elements cannot express.
const OF_MATRICES: [&str; 2] = ["adafactor", "muon"];

/// A folder with the export of every program of the zoo that can be expressed and of the odd ones,
/// and their names in order.
fn folder(target: Target) -> (PathBuf, Vec<String>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("export-{target}"));
    fs::create_dir_all(&folder).expect("a folder");
    let zoo_folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs/zoo");
    let mut files: Vec<PathBuf> = fs::read_dir(zoo_folder)
        .expect("the zoo")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.retain(|file| {
        !OF_MATRICES.iter().any(|name| file.file_stem().is_some_and(|stem| stem == *name))
    });
    files.sort();
    let texts = files
        .iter()
        .map(|file| fs::read_to_string(file).expect("a text"))
        .chain(ODD.map(str::to_owned));
    let names: Vec<String> = texts
        .map(|text| {
            let (name, export) = exported(&text, target);
            fs::write(folder.join(format!("{name}.{}", target.extension())), export)
                .expect("it is written");
            name
        })
        .collect();
    assert!(names.len() > 20);
    (folder, names)
}

/// Runs a command, which must succeed, and returns its output.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}

#[test]
fn a_program_becomes_a_header() {
    for name in ["lion", "adamw", "lion-raw", "published-regularized"] {
        insta::assert_snapshot!(format!("c_{name}"), exported(&zoo(name), Target::C).1);
    }
    insta::assert_snapshot!("c_mixed", exported(ODD[0], Target::C).1);
}

#[test]
fn a_program_becomes_a_module() {
    for name in ["lion", "adamw", "lion-raw", "published-regularized"] {
        insta::assert_snapshot!(format!("rust_{name}"), exported(&zoo(name), Target::Rust).1);
    }
    insta::assert_snapshot!("rust_mixed", exported(ODD[0], Target::Rust).1);
}

#[test]
fn loops_over_elements_refuse_functions_of_matrices_and_name_the_statement() {
    for (name, number, function) in [("muon", 3, "newton_schulz"), ("adafactor", 4, "row_mean")] {
        for target in [Target::C, Target::Rust] {
            let program = parse(&zoo(name)).unwrap_or_else(|faults| panic!("{faults}"));
            let error = export(&program, target).expect_err("a matrix");
            let ExportError::Inexpressible { statement, text, reason, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!(*statement, number);
            assert!(text.contains(&format!("{function}(")), "{text}");
            assert_eq!(
                *reason,
                format!(
                    "`{function}` works on the matrix of an array as a whole, which loops over elements cannot do"
                )
            );
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("{target} cannot express {name}, statement {number}: ")),
                "{error}"
            );
        }
    }
}

#[test]
fn choices_are_tests_in_c_and_in_rust() {
    for (name, text) in [
        ("rprop", zoo("rprop")),
        ("cautious-lion", zoo("cautious-lion")),
        ("choices", ODD[4].to_owned()),
    ] {
        for target in [Target::C, Target::Rust] {
            insta::assert_snapshot!(format!("{target}_{name}"), exported(&text, target).1);
        }
    }
}

#[test]
fn a_program_becomes_data() {
    for name in ["lion", "lion-raw"] {
        insta::assert_snapshot!(format!("json_{name}"), exported(&zoo(name), Target::Json).1);
    }
}

#[test]
fn a_program_becomes_a_formula_under_a_comment() {
    insta::assert_snapshot!("latex_lion", exported(&zoo("lion"), Target::Latex).1);
}

#[test]
fn all_headers_compile_together_as_c_and_as_cpp_without_a_warning() {
    let (folder, names) = folder(Target::C);
    let includes: String = names.iter().map(|name| format!("#include \"{name}.h\"\n")).collect();
    for (compiler, file, standard) in [
        ("gcc", "all.c", "c99"),
        ("gcc", "all.c", "gnu17"),
        ("g++", "all.cc", "c++11"),
        ("g++", "all.cc", "c++20"),
    ] {
        fs::write(folder.join(file), &includes).expect("it is written");
        let warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"];
        said(
            Command::new(compiler)
                .current_dir(&folder)
                .arg(format!("-std={standard}"))
                .args(warnings)
                .arg(file),
        );
    }
}

#[test]
fn gcc_vectorises_the_loops_and_fuses_nothing() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let (folder, _) = folder(Target::C);
    let caller = "#include \"lion.h\"\n#include \"adamw.h\"\n\
        void a(float *w, const float *g, float *m, size_t n) { lion_step(w, g, m, n, 1e-4, lion_defaults()); }\n\
        void b(float *w, const float *g, float *m, float *v, size_t n) { adamw_step(w, g, m, v, n, 1e-3, 1, adamw_defaults()); }\n";
    for (compiler, file) in [("gcc", "loops.c"), ("g++", "loops.cc")] {
        fs::write(folder.join(file), caller).expect("it is written");
        let options = ["-O3", "-mavx2", "-mfma", "-S", "-o", "loops.s", "-fopt-info-vec", file];
        let notes = said(Command::new(compiler).current_dir(&folder).args(options));
        for name in ["lion.h", "adamw.h"] {
            let header = fs::read_to_string(folder.join(name)).expect("a header");
            let line =
                header.lines().position(|line| line.contains("i < length")).expect("a loop") + 1;
            let note = format!("{name}:{line}:");
            assert!(
                notes
                    .lines()
                    .any(|l| l.contains(&note)
                        && l.contains("loop vectorized using 32 byte vectors")),
                "{note}\n{notes}"
            );
        }
        let assembly = fs::read_to_string(folder.join("loops.s")).expect("assembly");
        assert!(
            assembly.contains("vsqrtps") && !assembly.contains("vfm") && !assembly.contains("vfnm"),
            "{compiler} fuses"
        );
    }
}

#[test]
fn all_modules_compile_together_and_are_laid_out_as_rustfmt_has_it() {
    let (folder, names) = folder(Target::Rust);
    let modules: String = names.iter().map(|name| format!("pub mod {name};\n")).collect();
    fs::write(folder.join("lib.rs"), format!("#![deny(warnings)]\n{modules}"))
        .expect("it is written");
    fs::write(folder.join("rustfmt.toml"), "").expect("it is written");
    for edition in ["2021", "2024"] {
        let options = [
            "--edition",
            edition,
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
            "-o",
            "all.rmeta",
            "lib.rs",
        ];
        said(Command::new("rustc").current_dir(&folder).args(options));
        for name in &names {
            said(Command::new("rustfmt").current_dir(&folder).args([
                "--edition",
                edition,
                "--check",
                &format!("{name}.rs"),
            ]));
        }
    }
}

/// Near the ends of their ranges too: f32's largest number, the edges of domains, tiny numbers.
#[test]
fn inverse_hyperbolic_functions_of_the_module_are_right_at_the_ends_of_their_ranges() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust-ends");
    fs::create_dir_all(&folder).expect("a folder");
    let mut main = "fn main() {\n".to_owned();
    let mut modules = String::new();
    for function in ["arcsinh", "arccosh", "arctanh"] {
        // On elements in f32, and on a scalar in f64.
        let text = format!(
            "def {function}_of(w, g, lr):\n  update = {function}(g) + 0.0 * {function}(lr)\n  return update\n"
        );
        let (name, export) = exported(&text, Target::Rust);
        fs::write(folder.join(format!("{name}.rs")), export).expect("it is written");
        let scalar = if function == "arctanh" { 0.5 } else { 2.0 };
        modules += &format!("mod {name};\n");
        main += &format!(
            "    for x in [3e38_f32, -3e38, f32::MAX, 1e20, 0.99999994, -0.99999994, 1.0000001, 0.5, 1e-30, -1e-45, 2.0, f32::INFINITY] {{\n        \
             let mut w = [0.0_f32];\n        {name}::step(&mut w, &[x], {scalar:?});\n        println!(\"{function} {{x:e}} {{:e}}\", -w[0]);\n    }}\n"
        );
    }
    fs::write(folder.join("main.rs"), format!("{modules}\n{main}}}\n")).expect("it is written");
    let program = folder.join("main");
    said(
        Command::new("rustc")
            .args(["--edition", "2021", "-O", "-A", "warnings", "-o"])
            .arg(&program)
            .arg(folder.join("main.rs")),
    );
    let text = said(&mut Command::new(&program));
    let mut seen = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [x, found]: [f32; 2] = [words[1], words[2]].map(|word| word.parse().expect("a number"));
        let function = symopt_dsl::Function::from_name(words[0]).expect("a function");
        let expected = function.on_scalars([f64::from(x), 0.0, 0.0]) as f32;
        let is_right = found.to_bits().abs_diff(expected.to_bits()) <= 1
            || found.is_nan() && expected.is_nan()
            || found == expected;
        assert!(is_right, "{line}, not {expected:e}");
        seen += 1;
    }
    assert_eq!(seen, 36);
}
