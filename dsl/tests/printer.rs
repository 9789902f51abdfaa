//! Printing: the canonical text, and that it parses to the same program.

use proptest::prelude::*;
use symopt_dsl::program::{CommentPlace, Operand};
use symopt_dsl::{Program, VarId, parse};
use symopt_testing::random::Random;
use symopt_testing::texts::random_program;

fn reparse(program: &Program) -> Program {
    let text = program.to_string();
    parse(&text).unwrap_or_else(|fault| panic!("{text}\n{}", fault.render("printed", &text, false)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_program_parses_to_the_same_program_and_text(seed: u64) {
        let program = random_program(seed, true);
        let again = reparse(&program);
        prop_assert_eq!(&again, &program, "{}", program);
        prop_assert_eq!(again.to_string(), program.to_string());
    }

    #[test]
    fn a_number_is_printed_in_a_form_that_gives_the_same_bits(seed: u64) {
        let value = Random(seed).constant();
        let text = format!("def p(w, g):\n  c = {}\n  u = g * c\n  return u\n", symopt_dsl::printer::number(value));
        let program = parse(&text).unwrap();
        prop_assert_eq!(program.statements[0].arguments(), &[Operand::Constant(value)]);
    }

    #[test]
    fn a_doc_string_round_trips_whatever_it_holds(seed: u64) {
        const PIECES: [&str; 32] = [
            "\"", "'", "\\", "\n", "\r", "\t", " ", "a", "# x", "\0", "\x07", "\x0b", "\x0c", "\x1b[31m", "\x1c", "\u{7f}", "\u{85}", "\u{9b}", "\u{a0}",
            "\u{200b}", "\u{2028}", "\u{202e}", "\u{2066}", "\u{3000}", "\u{feff}", "\u{e0001}", "\\u202e", "\\n", "\\beta", "😀", "\"\"\"", "'''",
        ];
        let mut random = Random(seed);
        let doc: String = (0..random.below(12)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        let program = parse("def p(w, g):\n  u = g\n  return u\n").unwrap();
        let signature = symopt_dsl::Signature { doc: Some(doc.clone()), ..program.signature().clone() };
        let program = program.with_signature(signature);
        let text = program.to_string();
        prop_assert!(!text.chars().any(symopt_dsl::escape::is_hidden), "{text:?}");
        prop_assert_eq!(&reparse(&program), &program, "{}", &text);

        // As a user may have written it, in any quotes.
        let doc = doc.replace('\0', "");
        for (open, close) in [("\"\"\"", "\"\"\""), ("'''", "'''"), ("r\"\"\"", "\"\"\""), ("# ", "\n")] {
            let Ok(program) = parse(&format!("{open}{doc}{close}\ndef p(w, g):\n  u = g\n  return u\n")) else { continue };
            prop_assert_eq!(&reparse(&program), &program, "{}", program);
        }
    }

    #[test]
    fn a_program_whose_statements_were_changed_still_round_trips(seed: u64) {
        // Changes as a mutation makes them: new numbered variables, statements inserted, comments
        // dropped.
        let mut program = reparse(&random_program(seed, true));
        program.clear_comments();
        let mut random = Random(seed);
        for _ in 0..5 {
            let Some(fresh) = program.fresh_variable() else { break };
            let at = random.below(program.statements.len() + 1);
            let statement = symopt_dsl::Statement::new(fresh, symopt_dsl::Function::Negative, &[Operand::Variable(VarId(1))]);
            program.statements.insert(at, statement);
        }
        prop_assert_eq!(reparse(&program), program);
    }
}

#[test]
fn every_piece_of_syntax_has_one_canonical_form() {
    let text = "# header\ndef  p ( w,g , m, t, lr = 1e-3,*,beta1=.9, n=1_000 ) :  # beside def\n\tx=g\n\n\ty = 2\n\t# above\n\tz = - x\n\tk = -2.50\n\
                \tu = max(x ,y,) ** -2 # beside\n\tm = negative(3) + interpolate(m, z,beta1)\n\t# last\n\treturn u , m # end\n# footer\n";
    let program = parse(text).unwrap();
    insta::assert_snapshot!("canonical_form", program.to_string());
    assert_eq!(reparse(&program), program);
}

#[test]
fn a_wide_signature_is_printed_on_several_lines() {
    let slots: Vec<String> = (0..40).map(|i| format!("state_slot_{i}")).collect();
    let text = format!(
        "def p(w, g, {0}, lr, *, beta=0.9):\n  u = g * beta\n  return u, {0}\n",
        slots.join(", ")
    );
    let program = parse(&text).unwrap();
    assert!(program.to_string().lines().all(|line| line.len() <= 120));
    insta::assert_snapshot!("wide_signature", program.to_string());
    assert_eq!(reparse(&program), program);
}

#[test]
fn comments_keep_their_places() {
    let text = "# one\n\"\"\"Doc.\"\"\"\n# two\n@guarded\n# three\ndef p(w, g):  # four\n  # five\n  u = sign(-g)  # six\n  # seven\n  return u  # eight\n  # nine\n";
    let program = parse(text).unwrap();
    let places: Vec<(CommentPlace, &str)> =
        program.comments().iter().map(|c| (c.place, c.text.as_str())).collect();
    use CommentPlace::*;
    assert_eq!(
        places,
        [
            (Header, "one"),
            (Header, "two"),
            (Header, "three"),
            (BesideDef, "four"),
            // `sign(-g)` is two statements: the remark above goes to the first, the one beside to
            // the second.
            (Above(0), "five"),
            (Beside(1), "six"),
            (AboveReturn, "seven"),
            (BesideReturn, "eight"),
            (Footer, "nine"),
        ]
    );
}
