//! Evaluations as bytes.
//!
//! | bytes | what they are |
//! |---|---|
//! | varint | length of the rest |
//! | 16 | functional hash, little-endian |
//! | varint | number of the child or of the revision, doubled, and 1 for a revision |
//! | 1 | what there is: the kind of the fitness in the low three bits, then a bit each for standard error, settings, failure, text, and terseness |
//! | | fitness: the checkpoint as a varint, or 8 bytes, or nothing where the curve ends with it |
//! | varint | seeds |
//! | | standard error, 8 bytes; curve, its length and 8 bytes each; settings, their count and two varints each; failure, its length and JSON |
//! | | program: its text, or the variable of the update, the count of statements and the statements |
//!
//! A statement is a varint: 0 for one that follows, or the number of one that came before in the
//! same *window*, from 1. Programs of a search have most of their statements in common, so most are
//! a byte or two. A window is a run of frames; each evaluation can be read by itself, and a program
//! from the begin of its window on. Numbers are exact: eight bytes, little-endian. Variables are
//! numbered as in the initial program, which gives them their names, and functions by a table of
//! names at the begin of the log.

use std::collections::HashMap;
use std::sync::Arc;

use symopt_dsl::{Function, FunctionalHash, Operand, Program, Statement, VarId};
use symopt_proxy_tasks::suite::Fitness;

use super::record::Place;
use crate::judge::evaluation::Evaluation;
use crate::judge::inner_tuning::Setting;

const STANDARD_ERROR: u8 = 1 << 3;
const SETTINGS: u8 = 1 << 4;
const FAILURE: u8 = 1 << 5;
const TEXT: u8 = 1 << 6;
/// Flag of a record from a release that did not know standard errors, seeds and settings.
const TERSE: u8 = 1 << 7;

/// Statements of a window after which the next one begins.
const WINDOW_STATEMENTS: usize = 4096;
/// Programs of a window, likewise.
const WINDOW_PROGRAMS: usize = 4096;

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_signed(out: &mut Vec<u8>, value: i16) {
    let value = i64::from(value);
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Bytes that are read from the front. `None` where they end too early.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }

    fn number(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }

    fn signed(&mut self) -> Option<i16> {
        let value = self.varint()?;
        i16::try_from((value >> 1) as i64 ^ -((value & 1) as i64)).ok()
    }

    /// The next record, whose length comes first.
    pub fn record(&mut self) -> Option<Bytes<'a>> {
        let length = self.length()?;
        self.take(length).map(Bytes)
    }

    /// The hash and the place that a record begins with.
    pub fn name(&mut self) -> Option<(FunctionalHash, Place)> {
        let hash = FunctionalHash(u128::from_le_bytes(self.array()?));
        let number = self.varint()?;
        let place =
            if number & 1 == 0 { Place::Child(number >> 1) } else { Place::Revision(number >> 1) };
        Some((hash, place))
    }
}

/// A record that is read, but for its program.
pub(super) struct Parts<'a> {
    pub hash: FunctionalHash,
    pub place: Place,
    pub evaluation: Evaluation,
    /// Whether standard error, seeds and settings were not known.
    pub terse: bool,
    is_text: bool,
    program: Bytes<'a>,
}

/// Reads a record up to its program.
pub(super) fn parts(mut record: Bytes<'_>) -> Option<Parts<'_>> {
    let (hash, place) = record.name()?;
    let (evaluation, flags) = read_evaluation(&mut record)?;
    Some(Parts {
        hash,
        place,
        evaluation,
        terse: flags & TERSE != 0,
        is_text: flags & TEXT != 0,
        program: record,
    })
}

/// Reads an evaluation, with the byte that says what there is.
pub(super) fn read_evaluation(record: &mut Bytes<'_>) -> Option<(Evaluation, u8)> {
    let flags = record.byte()?;
    let mut fitness = match flags & 7 {
        0 => Fitness::Diverged,
        1 => Fitness::Screened,
        2 => Fitness::Failed,
        3 => Fitness::Hopeless { checkpoint: record.length()? },
        4 => Fitness::Improvement(record.number()?),
        5 => Fitness::Improvement(0.0),
        _ => return None,
    };
    let seeds = u32::try_from(record.varint()?).ok()?;
    let standard_error = if flags & STANDARD_ERROR != 0 { record.number()? } else { 0.0 };
    let count = record.length()?;
    let curve: Arc<[f64]> = record
        .take(count.checked_mul(8)?)?
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .collect();
    if flags & 7 == 5 {
        fitness = Fitness::Improvement(*curve.last()?);
    }
    let mut settings = Vec::new();
    if flags & SETTINGS != 0 {
        for _ in 0..record.length()? {
            settings.push(Setting { x: record.signed()?, z: record.signed()? });
        }
    }
    let failure = match flags & FAILURE {
        0 => None,
        _ => {
            let length = record.length()?;
            Some(Arc::new(serde_json::from_slice(record.take(length)?).ok()?))
        }
    };
    let evaluation =
        Evaluation { fitness, curve, standard_error, seeds, settings: settings.into(), failure };
    Some((evaluation, flags))
}

/// Writes records.
pub(super) struct Encoder {
    head: Option<Arc<Program>>,
    /// The places of the functions in the log's table.
    functions: Vec<Option<u8>>,
    /// The statements of the window, by their bytes, with their numbers.
    window: HashMap<Vec<u8>, u64>,
    programs: usize,
    statement: Vec<u8>,
    body: Vec<u8>,
}

/// A program to be written.
pub(super) enum Source<'a> {
    /// One whose variables are those of the head.
    Program(&'a Program),
    /// Any other.
    Text(&'a str),
}

impl Encoder {
    pub fn new(head: Option<Arc<Program>>, table: &[Option<Function>]) -> Encoder {
        let place = |function: Function| {
            table
                .iter()
                .position(|other| *other == Some(function))
                .and_then(|place| u8::try_from(place).ok())
        };
        let functions = Function::all().map(place).collect();
        Encoder {
            head,
            functions,
            window: HashMap::new(),
            programs: 0,
            statement: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Begins a window if there is none, or if the last is full. True if it did.
    pub fn begin(&mut self) -> bool {
        if self.programs > 0
            && self.programs < WINDOW_PROGRAMS
            && self.window.len() < WINDOW_STATEMENTS
        {
            return false;
        }
        self.end_window();
        true
    }

    /// The next program begins a window.
    pub fn end_window(&mut self) {
        self.window.clear();
        self.programs = 0;
    }

    /// Writes a record.
    pub fn put(
        &mut self,
        out: &mut Vec<u8>,
        place: Place,
        hash: FunctionalHash,
        evaluation: &Evaluation,
        terse: bool,
        program: Source,
    ) {
        let rebased;
        let program = match program {
            Source::Text(text) => {
                rebased = self.head.as_deref().and_then(|head| rebase(text, head));
                rebased.as_ref().map_or(Source::Text(text), Source::Program)
            }
            program => program,
        };
        let known = |program: &&Program| {
            program.statements.iter().all(|statement| self.function(statement.function).is_some())
        };
        let owned;
        let program = match &program {
            Source::Program(program) if known(program) => Ok(*program),
            Source::Program(program) => {
                owned = program.to_string();
                Err(owned.as_str())
            }
            Source::Text(text) => Err(*text),
        };
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        body.extend(hash.0.to_le_bytes());
        put_varint(
            &mut body,
            match place {
                Place::Child(number) => number << 1,
                Place::Revision(number) => number << 1 | 1,
            },
        );
        put_evaluation(
            &mut body,
            evaluation,
            if terse { TERSE } else { 0 } | if program.is_err() { TEXT } else { 0 },
        );
        match program {
            Ok(program) => self.put_program(&mut body, program),
            Err(text) => body.extend(text.as_bytes()),
        }
        self.programs += 1;
        put_varint(out, body.len() as u64);
        out.extend(&body);
        self.body = body;
    }

    /// Writes a program without an evaluation, whose variables the reader must know. False if the
    /// table lacks one of its functions.
    pub fn put_bare(&mut self, out: &mut Vec<u8>, program: &Program) -> bool {
        let known = program.statements.iter().all(|s| self.function(s.function).is_some());
        if known {
            self.put_program(out, program);
        }
        known
    }

    fn function(&self, function: Function) -> Option<u8> {
        *self.functions.get(function as usize)?
    }

    fn put_program(&mut self, body: &mut Vec<u8>, program: &Program) {
        put_varint(body, u64::from(program.update.0));
        put_varint(body, program.statements.len() as u64);
        for statement in &program.statements {
            let mut bytes = std::mem::take(&mut self.statement);
            bytes.clear();
            bytes.push(self.function(statement.function).unwrap_or(u8::MAX));
            put_varint(&mut bytes, u64::from(statement.target.0));
            for argument in statement.arguments() {
                match argument {
                    Operand::Variable(id) => put_varint(&mut bytes, u64::from(id.0) + 1),
                    Operand::Constant(value) => {
                        bytes.push(0);
                        bytes.extend(value.to_le_bytes());
                    }
                }
            }
            match self.window.get(&bytes) {
                Some(number) => put_varint(body, *number),
                None => {
                    body.push(0);
                    body.extend(&bytes);
                    self.window.insert(bytes.clone(), self.window.len() as u64 + 1);
                }
            }
            self.statement = bytes;
        }
    }
}

/// Writes an evaluation, with more of what there is.
pub(super) fn put_evaluation(body: &mut Vec<u8>, evaluation: &Evaluation, mut flags: u8) {
    let Evaluation { fitness, curve, standard_error, seeds, settings, failure } = evaluation;
    let ends_with = |value: f64| curve.last().is_some_and(|last| last.to_bits() == value.to_bits());
    flags |= match fitness {
        Fitness::Diverged => 0,
        Fitness::Screened => 1,
        Fitness::Failed => 2,
        Fitness::Hopeless { .. } => 3,
        Fitness::Improvement(value) => 4 + u8::from(ends_with(*value)),
    };
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    flags |= bit(standard_error.to_bits() != 0, STANDARD_ERROR)
        | bit(!settings.is_empty(), SETTINGS)
        | bit(failure.is_some(), FAILURE);
    body.push(flags);
    match fitness {
        Fitness::Hopeless { checkpoint } => put_varint(body, *checkpoint as u64),
        Fitness::Improvement(value) if !ends_with(*value) => body.extend(value.to_le_bytes()),
        _ => {}
    }
    put_varint(body, u64::from(*seeds));
    if flags & STANDARD_ERROR != 0 {
        body.extend(standard_error.to_le_bytes());
    }
    put_varint(body, curve.len() as u64);
    body.extend(curve.iter().flat_map(|value| value.to_le_bytes()));
    if flags & SETTINGS != 0 {
        put_varint(body, settings.len() as u64);
        for setting in settings.iter() {
            put_signed(body, setting.x);
            put_signed(body, setting.z);
        }
    }
    if let Some(failure) = failure {
        // It is made of texts.
        let json = serde_json::to_vec(failure.as_ref()).unwrap_or_default();
        put_varint(body, json.len() as u64);
        body.extend(json);
    }
}

/// The program of a text with the variables of the head, if it has the same names and its text is
/// the same then.
fn rebase(text: &str, head: &Program) -> Option<Program> {
    let program = symopt_dsl::parse(text).ok()?;
    let named = head.variable_count();
    let name_in_head = |id: VarId| head.variable_name(id).to_string();
    let names: HashMap<String, VarId> =
        (0..named).map(|i| VarId(i as u16)).map(|id| (name_in_head(id), id)).collect();
    let map: Vec<Option<VarId>> = (0..program.variable_count())
        .map(|i| {
            let name = program.variable_name(VarId(i as u16)).to_string();
            let numbered = || name.trim_end_matches('_').strip_prefix('v')?.parse().ok().map(VarId);
            names.get(&name).copied().or_else(|| {
                numbered().filter(|id| id.index() >= named && name_in_head(*id) == name)
            })
        })
        .collect();
    if map.iter().any(Option::is_none) {
        return None;
    }
    let new = |id: VarId| map.get(id.index()).copied().flatten().unwrap_or(id);
    let mut rebased = head.clone();
    rebased.clear_comments();
    rebased.statements =
        program.statements.iter().map(|statement| statement.map_variables(new)).collect();
    rebased.update = new(program.update);
    (rebased.to_string() == text).then_some(rebased)
}

/// Reads programs.
#[derive(Clone)]
pub(super) struct Decoder {
    head: Option<Arc<Program>>,
    functions: Arc<[Option<Function>]>,
    window: Vec<Statement>,
}

impl Decoder {
    pub fn new(head: Option<Arc<Program>>, functions: Arc<[Option<Function>]>) -> Decoder {
        Decoder { head, functions, window: Vec::new() }
    }

    /// A window begins.
    pub fn begin(&mut self) {
        self.window.clear();
    }

    /// The text of a record's program. All records of a window must pass here, or through
    /// [`Decoder::skip`].
    pub fn text(&mut self, parts: &Parts) -> Option<String> {
        if parts.is_text {
            return String::from_utf8(parts.program.0.to_vec()).ok();
        }
        let mut program = Program::clone(self.head.as_deref()?);
        program.clear_comments();
        let mut bytes = parts.program;
        (program.update, program.statements) = self.bare(&mut bytes)?;
        Some(program.to_string())
    }

    /// Passes over a record.
    pub fn skip(&mut self, parts: &Parts) -> Option<()> {
        let mut bytes = parts.program;
        if parts.is_text { Some(()) } else { self.bare(&mut bytes).map(drop) }
    }

    /// The update and the statements of a program.
    pub fn bare(&mut self, bytes: &mut Bytes<'_>) -> Option<(VarId, Vec<Statement>)> {
        let variable = |value: u64| u16::try_from(value).ok().map(VarId);
        let update = variable(bytes.varint()?)?;
        let mut statements = Vec::new();
        for _ in 0..bytes.varint()? {
            let number = usize::try_from(bytes.varint()?).ok()?;
            if let Some(known) = number.checked_sub(1) {
                statements.push(*self.window.get(known)?);
                continue;
            }
            let function = (*self.functions.get(usize::from(bytes.byte()?))?)?;
            let target = variable(bytes.varint()?)?;
            let mut arguments = Vec::with_capacity(3);
            for _ in 0..function.arity() {
                arguments.push(match bytes.varint()? {
                    0 => Operand::Constant(bytes.number().filter(|value| value.is_finite())?),
                    id => Operand::Variable(variable(id - 1)?),
                });
            }
            let statement = Statement::new(target, function, &arguments);
            self.window.push(statement);
            statements.push(statement);
        }
        Some((update, statements))
    }
}
