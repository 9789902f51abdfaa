//! A piece of work as a value: what travels to a machine that does it, and what comes back.
//!
//! A [`Job`] names all that its result depends on: the text of the suite, the program, the seeds and
//! the settings. The same job has the same result, bit for bit, on every machine whose release
//! computes the same, unless a task is [external](crate::external). An [`Answer`] names the job by
//! its digest.
//!
//! As bytes each is a line, `symopt KIND VERSION DIGEST LENGTH`, and JSON of that length. Whatever
//! bytes come, reading them gives the value that was written or a [`MessageError`].

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;

/// The version of jobs and answers. Another one is refused.
pub const FORMAT_VERSION: u32 = 2;

/// The most bytes of a job or an answer: a little less than what a server takes by default.
pub const LARGEST: usize = 1_000_000;

/// Kind of work that a job asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JobKind {
    /// One training run, the smallest unit: a [`TrainingRun`](crate::training_run::TrainingRun).
    TrainingRun,
    /// A program judged on a suite as a search does it, with all training runs of that.
    Judgement,
}

/// A suite as a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteText {
    /// The name of a built-in suite, or whatever the suite is called where it is used.
    pub name: String,
    /// TOML.
    pub text: String,
}

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Kind of work.
    pub kind: JobKind,
    /// The version of the functional hashes in it.
    pub hash_version: u32,
    /// The suite that it is about.
    pub suite: SuiteText,
    /// The rest, as its kind says.
    pub body: Value,
}

/// Answer to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The [digest](Job::digest) of the job.
    pub job: String,
    /// Name of the worker that did it.
    pub worker: String,
    /// The result.
    pub outcome: Outcome,
}

/// The result of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The job was done; the value is as its kind says.
    Done(Value),
    /// It can't be done, on any machine: its suite or its program is wrong.
    Failed(String),
    /// This worker does not do it: it is of another version, or misses what the job needs.
    Refused(String),
    /// Everyone who tried it was lost on the way.
    Lost(String),
    /// The worker gave it back, for another one to do: it ends, or may not take part.
    Returned(String),
}

/// Why bytes are no job and no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// More than [`LARGEST`].
    #[error(
        "{bytes} bytes are more than a message may have ({LARGEST}); give the suite fewer seeds or \
         a shorter text"
    )]
    Oversized {
        /// How many.
        bytes: usize,
    },
    /// No line of symopt's at the beginning.
    #[error("byte 0: no heading of a message of symopt")]
    Foreign,
    /// Something else of symopt's.
    #[error("byte 0: it is {found}, where {expected} is expected")]
    Kind {
        /// Kind that its heading states.
        found: String,
        /// Expected kind.
        expected: &'static str,
    },
    /// Message of another release.
    #[error(
        "byte 0: format version {found}, and this release reads version {FORMAT_VERSION}; use the \
         same release everywhere"
    )]
    Version {
        /// The version inside.
        found: u32,
    },
    /// Another number of bytes than the heading says.
    #[error("byte {heading}: {found} bytes follow, and the heading says {expected}")]
    Length {
        /// Bytes of the heading.
        heading: usize,
        /// Bytes that follow.
        found: usize,
        /// Number of bytes by the heading.
        expected: usize,
    },
    /// The bytes are not those that were written.
    #[error("byte {heading}: the bytes are not those that were sent: their digest is another one")]
    Damaged {
        /// Bytes of the heading.
        heading: usize,
    },
    /// The body is not what it should be.
    #[error("line {line}, column {column} of the body: {reason}")]
    Body {
        /// The line, from 1.
        line: usize,
        /// The column.
        column: usize,
        /// Description of the fault.
        reason: String,
    },
}

impl Job {
    /// The job as bytes.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        encode("job", self)
    }

    /// The job that bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Job, MessageError> {
        decode("job", bytes)
    }

    /// 16 hexadecimal digits that stand for the job: the same for equal jobs, and, but by chance,
    /// for no others.
    pub fn digest(encoded: &[u8]) -> String {
        let mut digest = Digest::new();
        digest.bytes(encoded);
        digest.hex()
    }
}

impl Answer {
    /// The answer as bytes.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        encode("answer", self)
    }

    /// The answer that bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Answer, MessageError> {
        decode("answer", bytes)
    }
}

/// A value as bytes: its kind, the version, a digest and the length, and JSON.
pub fn encode(kind: &'static str, value: &impl Serialize) -> Result<Vec<u8>, MessageError> {
    let body = serde_json::to_vec(value).map_err(|error| body_error(&error))?;
    let mut bytes =
        format!("symopt {kind} {FORMAT_VERSION} {} {}\n", of(&body), body.len()).into_bytes();
    bytes.extend(body);
    match bytes.len() {
        bytes if bytes > LARGEST => Err(MessageError::Oversized { bytes }),
        _ => Ok(bytes),
    }
}

/// The value of a kind that bytes are, if they are what [`encode`] made.
pub fn decode<T: DeserializeOwned>(kind: &'static str, bytes: &[u8]) -> Result<T, MessageError> {
    /// A heading is shorter.
    const HEADING: usize = 100;
    if bytes.len() > LARGEST {
        return Err(MessageError::Oversized { bytes: bytes.len() });
    }
    let end = bytes.iter().take(HEADING).position(|byte| *byte == b'\n');
    let end = end.ok_or(MessageError::Foreign)?;
    let (heading, body) = (&bytes[..end], &bytes[end + 1..]);
    let heading = std::str::from_utf8(heading).map_err(|_| MessageError::Foreign)?;
    let words: Vec<&str> = heading.split(' ').collect();
    let ["symopt", found, version, rest @ ..] = words.as_slice() else {
        return Err(MessageError::Foreign);
    };
    let version: u32 = version.parse().map_err(|_| MessageError::Foreign)?;
    // The rest of the heading is read only in this version, since another one may differ there.
    if version != FORMAT_VERSION {
        return Err(MessageError::Version { found: version });
    }
    if *found != kind {
        return Err(MessageError::Kind { found: (*found).to_owned(), expected: kind });
    }
    let [digest, length] = rest else { return Err(MessageError::Foreign) };
    let expected: usize = length.parse().map_err(|_| MessageError::Foreign)?;
    if body.len() != expected {
        return Err(MessageError::Length { heading: end + 1, found: body.len(), expected });
    }
    if of(body) != *digest {
        return Err(MessageError::Damaged { heading: end + 1 });
    }
    serde_json::from_slice(body).map_err(|error| body_error(&error))
}

fn of(body: &[u8]) -> String {
    let mut digest = Digest::new();
    digest.bytes(body);
    digest.hex()
}

fn body_error(error: &serde_json::Error) -> MessageError {
    MessageError::Body { line: error.line(), column: error.column(), reason: error.to_string() }
}

/// Numbers by their bits, so that each arrives as it was, also where JSON has no such number.
pub mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes a number.
    pub fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
        number.to_bits().serialize(to)
    }

    /// Reads a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }

    /// The same for several.
    pub mod list {
        use super::{Deserialize, Deserializer, Serializer};

        /// Writes numbers.
        pub fn serialize<S: Serializer>(numbers: &[f64], to: S) -> Result<S::Ok, S::Error> {
            to.collect_seq(numbers.iter().map(|number| number.to_bits()))
        }

        /// Reads numbers.
        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
            let bits = Vec::<u64>::deserialize(from)?;
            Ok(bits.into_iter().map(f64::from_bits).collect())
        }
    }
}
