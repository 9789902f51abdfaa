//! Proposals: children that a command of the user's makes, such as a language model, a script, or
//! a person with an editor.
//!
//! A child whose operator is the proposal is asked for when it is bred: a question goes to the
//! command as a line of JSON, with the parents that two tournaments chose, and a line of JSON comes
//! back. Which parents they are follows from the number of the child, as all draws do, and the
//! answer is that child and no other, so that a search is what its settings, its seed and the
//! answers make of it. The answers are in the journal before anything that depends on them, and a
//! search that is resumed, or a lineage, has them from there.
//!
//! ```text
//! {"protocol":1,"child":17,"form":"direction","numerics":"guarded","functions":["abs","cos",…],"max_statements":14,"max_slots":2,
//!  "parents":[{"hash":"8c0f…","fitness":0.031,"program":"@guarded\ndef train(w, g, m, …"},{…}],"reference":"# The functions of the language\n…"}
//! ```
//!
//! | answer | meaning |
//! |---|---|
//! | `{"program":"def f(w, g, m, lr):\n…"}` | a program |
//! | `{"programs":["…","…"]}` | several: the first that will do is the child |
//! | `{"error":"no idea"}` | none |
//!
//! `child` may stand in an answer, and must be the one that was asked for then. A program must be
//! one of the language, no longer than [`LONGEST`] bytes and `mutation.max_statements`, with no
//! function, slot or step count that the search does not have, in its form or one that a direction
//! can be split off, and read no hidden parameter. Whatever else comes, and nothing in
//! `mutation.proposal_seconds`, counts as failed, and the child is a mutation of the first parent
//! instead. After [`GIVEN_UP`] failures of the process in a row it is not asked again before the
//! search is resumed; what would have been asked counts as failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use symopt_cancel::{CancelToken, Cancelled};
use symopt_dsl::program::{Parameter, ParameterKind};
use symopt_dsl::{Graph, Operand, Program, reference};
use symopt_proxy_tasks::external::{Conversation, Silence};

use crate::config::{Form, NumericsSetting, SearchConfig};
use crate::engine::individual::Parent;
use crate::fit::fitted;
use crate::journal::Proposal;
use crate::judge::form::WEIGHT_DECAY;
use crate::space::Space;

/// The version of the protocol.
pub const PROTOCOL: u32 = 1;
/// Bytes of a program's text, at most.
pub const LONGEST: usize = 1 << 16;
/// Programs of an answer that are looked at.
pub const TRIED: usize = 16;
/// Failures of the process in a row after which it is not asked again.
pub const GIVEN_UP: usize = 8;
/// Characters of a reason that are kept.
const REASON: usize = 300;

/// The rest of the language, in short.
const LANGUAGE: &str = "# Programs\n\nA program is a function in the syntax of Python: `def \
    train(w, g, m, v, lr):` with the weights w, the gradients g, state slots, which are zero at \
    first and kept from step to step, the step count t if it is read, the learning rate lr, and \
    after a `*` hyperparameters with defaults. Each statement assigns one call of a function, or \
    one operator, to a variable: numbers, variables and slots are its arguments. The end is \
    `return update, m, v`: the update, which is subtracted from w, and all slots in order. In the \
    form `direction` the update is what training multiplies by lr after it has added \
    weight_decay * w: then neither w nor lr is read.\n";

/// A question: which child is wanted, and of which parents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Question {
    /// Number of the child.
    pub child: u64,
    /// The parents, as programs of the search.
    pub parents: [(Arc<Program>, Parent); 2],
}

/// Makes children.
pub trait Proposer {
    /// Answers a question. It ends soon once `cancel` is cancelled.
    fn propose(&mut self, question: &Question, cancel: &CancelToken)
    -> Result<Proposal, Cancelled>;
}

/// Requirements on a program that comes into a search.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    config: SearchConfig,
    space: Space,
    /// The program that the search starts from, whose parameters a program gets if its own are
    /// alike: a store and a saved state hold such programs in short.
    head: Program,
}

impl Terms {
    /// Makes the terms of a search that starts from a program. `None` if the settings have no
    /// functions, which [`SearchConfig::check`] refuses.
    pub fn new(config: &SearchConfig, initial: &Program) -> Option<Terms> {
        let space = Space::parse(&config.mutation.functions).ok()?;
        let mut head = initial.clone();
        head.clear_comments();
        Some(Terms { config: config.clone(), space: space.with_parameters_of([initial]), head })
    }

    /// The program of a text as the search has it, or why it will not do.
    pub fn accept(&self, text: &str) -> Result<Program, String> {
        if text.len() > LONGEST {
            return Err(format!("its text is longer than {LONGEST} bytes"));
        }
        let parse = |text: &str| symopt_dsl::parse(text).map_err(|faults| faults.to_string());
        let program = fitted(&self.config, &parse(text)?).map_err(|error| error.to_string())?;
        Graph::new(&program).map_err(|_| "it is not well typed".to_owned())?;
        if let Some(misfit) = self.space.misfit(&program) {
            return Err(misfit.to_string());
        }
        let most = self.config.mutation.max_statements;
        if program.statements.len() > most {
            return Err(format!("more than {most} statements"));
        }
        let read = program.statements.iter().flat_map(|statement| statement.arguments());
        let hidden = read
            .filter_map(|argument| match argument {
                Operand::Variable(id) => program.signature().parameters.get(id.index()),
                Operand::Constant(_) => None,
            })
            .find(|parameter| self.config.mutation.hidden.contains(&parameter.name));
        if let Some(parameter) = hidden {
            return Err(format!("it reads {}, which mutation.hidden has", parameter.name));
        }
        // As a resumed search will have it.
        let program = parse(&self.space.extend(&program).to_string())?;
        Ok(self.adopted(&program).unwrap_or(program))
    }

    /// The same program with the parameters of the head, if these are alike but for the names of
    /// slots, and for what is set from outside.
    fn adopted(&self, program: &Program) -> Option<Program> {
        let is_direction = self.config.fitness.form == Form::Direction;
        let alike = |own: &Parameter, head: &Parameter| {
            let is_hyperparameter = own.kind == ParameterKind::Hyperparameter;
            let is_set = is_direction
                && (own.kind == ParameterKind::LearningRate
                    || is_hyperparameter && own.name == WEIGHT_DECAY);
            own.kind == head.kind
                && (!is_hyperparameter || own.name == head.name)
                && (is_set || own.default == head.default)
        };
        let (own, head) = (&program.signature().parameters, &self.head.signature().parameters);
        if own.len() != head.len() || !own.iter().zip(head).all(|(own, head)| alike(own, head)) {
            return None;
        }
        let mut adopted = self.head.clone();
        adopted.statements.clone_from(&program.statements);
        adopted.update = program.update;
        Some(adopted)
    }
}

/// A command that is asked.
pub(crate) struct CommandProposer {
    conversation: Conversation,
    seconds: Duration,
    terms: Terms,
    /// Part that all questions have in common.
    common: serde_json::Value,
    /// Failures of the process in a row.
    failures: usize,
}

#[derive(Deserialize)]
struct Answer {
    child: Option<u64>,
    program: Option<String>,
    programs: Option<Vec<String>>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Asked<'q> {
    hash: String,
    fitness: Option<f64>,
    program: &'q str,
}

impl CommandProposer {
    pub fn new(command: &str, config: &SearchConfig, terms: Terms) -> CommandProposer {
        let functions: Vec<&str> = terms.space.functions().iter().map(|f| f.row().name).collect();
        let form = match config.fitness.form {
            Form::Program => "program",
            Form::Direction => "direction",
        };
        let numerics = match config.numerics {
            NumericsSetting::Guarded => "guarded",
            NumericsSetting::Ieee => "ieee",
        };
        let common = json!({
            "protocol": PROTOCOL,
            "form": form,
            "numerics": numerics,
            "functions": functions,
            "max_statements": config.mutation.max_statements,
            "max_slots": terms.space.most_slots(),
            "reference": format!("{LANGUAGE}\n{}", reference::functions()),
        });
        CommandProposer {
            conversation: Conversation::new(command),
            seconds: Duration::try_from_secs_f64(config.mutation.proposal_seconds)
                .unwrap_or(Duration::MAX),
            terms,
            common,
            failures: 0,
        }
    }

    /// The program of an answer, or why there is none.
    fn read(&self, question: &Question, answer: &[u8]) -> Result<String, String> {
        let answer: Answer = serde_json::from_slice(answer)
            .map_err(|error| format!("the answer is not of the protocol: {error}"))?;
        if let Some(child) = answer.child.filter(|child| *child != question.child) {
            return Err(format!("an answer for child {child}"));
        }
        if let Some(error) = answer.error {
            return Err(error);
        }
        let programs = answer.program.into_iter().chain(answer.programs.unwrap_or_default());
        let mut first = None;
        for text in programs.take(TRIED) {
            match self.terms.accept(&text) {
                Ok(_) => return Ok(text),
                Err(reason) => first = first.or(Some(reason)),
            }
        }
        Err(first.unwrap_or_else(|| "the answer has no program".to_owned()))
    }
}

impl Proposer for CommandProposer {
    fn propose(
        &mut self,
        question: &Question,
        cancel: &CancelToken,
    ) -> Result<Proposal, Cancelled> {
        if self.failures >= GIVEN_UP {
            return Ok(Proposal::Failed(format!("not asked after {GIVEN_UP} failures in a row")));
        }
        let texts = question.parents.each_ref().map(|(program, _)| program.to_string());
        let parents: Vec<Asked> = question
            .parents
            .iter()
            .zip(&texts)
            .map(|((_, parent), text)| Asked {
                hash: parent.hash.to_string(),
                fitness: parent.fitness.improvement(),
                program: text,
            })
            .collect();
        let mut line = self.common.clone();
        line["child"] = json!(question.child);
        line["parents"] = json!(parents);
        let read = match self.conversation.ask(&line.to_string(), self.seconds, cancel) {
            Ok(answer) => {
                self.failures = 0;
                self.read(question, &answer)
            }
            Err(Silence::Cancelled) => return Err(Cancelled::default()),
            Err(Silence::Failed(failure)) => {
                self.failures += 1;
                Err(failure.to_string())
            }
        };
        Ok(match read {
            Ok(program) => Proposal::Program(program),
            Err(reason) => Proposal::Failed(reason.chars().take(REASON).collect()),
        })
    }
}

/// Where the proposals of a search come from: those that its journal has, then a command.
pub(crate) struct Proposals<'p> {
    known: HashMap<u64, Proposal>,
    proposer: Option<Box<dyn Proposer + 'p>>,
}

/// An answer, and whether it is new.
pub(crate) struct Answered {
    pub proposal: Proposal,
    pub is_new: bool,
}

impl<'p> Proposals<'p> {
    pub fn new(
        known: Vec<(u64, Proposal)>,
        proposer: Option<Box<dyn Proposer + 'p>>,
    ) -> Proposals<'p> {
        Proposals { known: known.into_iter().collect(), proposer }
    }

    /// Whether the answer for a child is known.
    pub fn knows(&self, child: u64) -> bool {
        self.known.contains_key(&child)
    }

    /// The answer to a question; `None` if nobody is there to ask.
    pub fn answer(
        &mut self,
        question: &Question,
        cancel: &CancelToken,
    ) -> Result<Option<Answered>, Cancelled> {
        if let Some(proposal) = self.known.remove(&question.child) {
            return Ok(Some(Answered { proposal, is_new: false }));
        }
        let Some(proposer) = &mut self.proposer else { return Ok(None) };
        let proposal = proposer.propose(question, cancel)?;
        Ok(Some(Answered { proposal, is_new: true }))
    }
}
