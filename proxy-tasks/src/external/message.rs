//! The lines of the protocol.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::export::Exported;
use crate::run::{Checkpoint, Metrics};

/// A fitness beyond this has no loss that a number can hold.
const LARGEST_FITNESS: f64 = 500.0;
/// Characters of a script's own account of an error that are kept.
const LONGEST_ERROR: usize = 1000;
/// Characters of a line that are shown when it is not understood.
const SHOWN: usize = 80;

/// Request to a script.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub(super) protocol: u32,
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) hash: String,
    pub(super) program: String,
    pub(super) hyperparameters: Map<String, Value>,
    pub(super) peak_lr: f64,
    pub(super) seed: u64,
    pub(super) budget: Budget,
    pub(super) checkpoints: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) export: Option<ExportFile<'a>>,
}

/// How long a script may train.
#[derive(Serialize)]
pub(super) struct Budget {
    pub(super) steps: Option<usize>,
    pub(super) seconds: f64,
}

/// The program as a file, or the text of one for those who may not share files.
#[derive(Serialize)]
pub(super) struct ExportFile<'a> {
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    name: &'a str,
}

impl<'a> ExportFile<'a> {
    pub(super) fn at(target: &'a str, path: &Path, exported: &'a Exported) -> ExportFile<'a> {
        let path = Some(path.to_string_lossy().into_owned());
        ExportFile { target, path, text: None, name: &exported.name }
    }

    pub(super) fn of_text(target: &'a str, exported: &'a Exported) -> ExportFile<'a> {
        ExportFile { target, path: None, text: Some(&exported.text), name: &exported.name }
    }
}

/// A line of a script.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    /// It has started; whether it listens for stop lines.
    Ready { stops: bool },
    /// About a request.
    Of(u64, Answer),
}

/// Answer of a script to a request. A loss that is not finite is one that diverged.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Progress(Checkpoint),
    Result { metrics: Metrics, curve: Option<Vec<Checkpoint>> },
    Stopped,
    Error(String),
}

impl Message {
    /// Reads a line, or says what is wrong with it.
    pub(super) fn parse(line: &[u8]) -> Result<Message, String> {
        let text = std::str::from_utf8(line).map_err(|_| {
            format!("a line that is not UTF-8: {}", shown(&String::from_utf8_lossy(line)))
        })?;
        let object = match read(text) {
            Some(Value::Object(object)) => object,
            _ => return Err(format!("a line that is no JSON object: {}", shown(text))),
        };
        Message::of(&object).map_err(|reason| format!("{reason}: {}", shown(text)))
    }

    fn of(object: &Map<String, Value>) -> Result<Message, String> {
        let flag = |name: &str| object.get(name).and_then(Value::as_bool).unwrap_or(false);
        if let Some(protocol) =
            object.get("protocol").filter(|protocol| protocol.as_u64() != Some(u64::from(PROTOCOL)))
        {
            return Err(format!(
                "the script speaks protocol {protocol}, and this release speaks {PROTOCOL}"
            ));
        }
        let Some(id) = object.get("id") else {
            if flag("ready") {
                return Ok(Message::Ready { stops: flag("stop") });
            }
            return Err("a line without `id`, the number of the request".to_owned());
        };
        let id = id.as_u64().ok_or("an `id` that is no whole number")?;
        let ends =
            ["curve", "error", "stopped"].into_iter().find(|name| object.contains_key(*name));
        let answer = if object.contains_key("step") {
            if let Some(name) = ends {
                return Err(format!(
                    "a line with `step`, which is progress, and `{name}`, which is the end"
                ));
            }
            Answer::Progress(checkpoint(object, "loss")?)
        } else if let Some(error) = object.get("error") {
            let text = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
            Answer::Error(text.chars().take(LONGEST_ERROR).collect())
        } else if flag("stopped") {
            Answer::Stopped
        } else {
            let metrics = metrics(object, "loss")?;
            let curve =
                object.get("curve").filter(|curve| !curve.is_null()).map(curve).transpose()?;
            Answer::Result { metrics, curve }
        };
        Ok(Message::Of(id, answer))
    }
}

fn curve(value: &Value) -> Result<Vec<Checkpoint>, String> {
    let points = value.as_array().ok_or("a `curve` that is no list")?;
    let point = |point: &Value| match point {
        Value::Object(object) => checkpoint(object, "validation_loss"),
        _ => Err("a point of the `curve` that is no object".to_owned()),
    };
    let mut points = points.iter().map(point).collect::<Result<Vec<_>, _>>()?;
    points.retain(|point| point.validation.loss.is_finite());
    Ok(points)
}

fn checkpoint(object: &Map<String, Value>, loss: &str) -> Result<Checkpoint, String> {
    let step =
        object.get("step").and_then(Value::as_u64).and_then(|step| usize::try_from(step).ok());
    Ok(Checkpoint {
        step: step.ok_or("a `step` that is no whole number, or none")?,
        training_loss: number(object, "training_loss")?.unwrap_or(f64::NAN),
        validation: metrics(object, loss)?,
    })
}

fn metrics(object: &Map<String, Value>, loss: &str) -> Result<Metrics, String> {
    let accuracy = number(object, "accuracy")?.filter(|accuracy| accuracy.is_finite());
    let loss = match (number(object, "fitness")?, number(object, loss)?) {
        (Some(fitness), _) if fitness.abs() > LARGEST_FITNESS && fitness.is_finite() => {
            return Err(format!("a fitness beyond ±{LARGEST_FITNESS}; scale it"));
        }
        (Some(fitness), _) if fitness.is_finite() => libm::exp(-fitness),
        (Some(_), _) => f64::NAN,
        (None, Some(value)) if value < 0.0 && value.is_finite() => {
            return Err(format!(
                "a `{loss}` below 0, which can't be compared relatively; give `fitness` instead, higher for better"
            ));
        }
        (None, Some(value)) => value,
        (None, None) => return Err(format!("a line without `{loss}` or `fitness`")),
    };
    Ok(Metrics { loss, accuracy })
}

/// A number; NaN for `null`.
fn number(object: &Map<String, Value>, name: &str) -> Result<Option<f64>, String> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(f64::NAN)),
        Some(value) => {
            value.as_f64().map(Some).ok_or_else(|| format!("a `{name}` that is no number"))
        }
    }
}

/// JSON, or what Python writes as that: with NaN and Infinity, which are `null` then.
fn read(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    serde_json::from_str(&without_names(text)).ok()
}

fn without_names(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut quoted = false;
    while let Some(next) = rest.chars().next() {
        let name = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|name| !quoted && rest.starts_with(name));
        let length = match (name, next) {
            (Some(name), _) => {
                plain.push_str("null");
                rest = &rest[name.len()..];
                continue;
            }
            (None, '\\') => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, next) => next.len_utf8(),
        };
        quoted ^= next == '"';
        plain.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    plain
}

fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Message, String> {
        Message::parse(line.as_bytes())
    }

    fn result(line: &str) -> Metrics {
        match parse(line) {
            Ok(Message::Of(1, Answer::Result { metrics, .. })) => metrics,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_fitness_stands_for_a_loss_that_falls_as_it_rises() {
        assert_eq!(
            result(r#"{"id":1,"loss":0.5,"accuracy":0.75}"#),
            Metrics { loss: 0.5, accuracy: Some(0.75) }
        );
        assert_eq!(result(r#"{"id":1,"fitness":0}"#).loss, 1.0);
        assert_eq!(result(r#"{"id":1,"fitness":-2.5}"#).loss, libm::exp(2.5));
        let (worse, better) =
            (result(r#"{"id":1,"fitness":0.80}"#).loss, result(r#"{"id":1,"fitness":0.81}"#).loss);
        let improvement = (worse - better) / worse;
        assert!((improvement - 0.00995).abs() < 1e-5, "{improvement}");
        // Where both are given, the fitness counts; the largest ones still are numbers above 0.
        assert_eq!(result(r#"{"id":1,"fitness":0,"loss":7}"#).loss, 1.0);
        assert!(
            result(r#"{"id":1,"fitness":500}"#).loss > 0.0
                && result(r#"{"id":1,"fitness":-500}"#).loss.is_finite()
        );
    }

    #[test]
    fn losses_that_are_not_finite_are_read_as_python_and_json_write_them() {
        for value in ["NaN", "Infinity", "-Infinity", "null"] {
            for key in ["loss", "fitness"] {
                assert!(
                    !result(&format!(r#"{{"id": 1, "{key}": {value}, "note": "a \"NaN\" \\"}}"#))
                        .loss
                        .is_finite(),
                    "{key} {value}"
                );
            }
        }
        // Only outside of texts.
        assert_eq!(
            parse(r#"{"id":1,"error":"loss is NaN","x":NaN}"#),
            Ok(Message::Of(1, Answer::Error("loss is NaN".to_owned())))
        );
    }

    #[test]
    fn what_is_not_of_the_protocol_is_refused_with_a_reason() {
        for (line, reason) in [
            ("training...", "no JSON object"),
            ("[1, 2]", "no JSON object"),
            (r#"{"id":1,"loss":0.5"#, "no JSON object"),
            (r#"{"loss":0.5}"#, "without `id`"),
            (r#"{"ready":true,"protocol":2}"#, "speaks protocol 2, and this release speaks 1"),
            (r#"{"id":-1,"loss":0.5}"#, "no whole number"),
            (r#"{"id":1}"#, "without `loss` or `fitness`"),
            (r#"{"id":1,"loss":"low"}"#, "`loss` that is no number"),
            (r#"{"id":1,"loss":-0.5}"#, "below 0"),
            (r#"{"id":1,"fitness":501}"#, "scale it"),
            (r#"{"id":1,"step":1.5,"loss":1}"#, "`step` that is no whole number"),
            (r#"{"id":1,"step":1,"loss":1,"curve":[]}"#, "which is the end"),
            (r#"{"id":1,"loss":1,"curve":{}}"#, "no list"),
            (r#"{"id":1,"loss":1,"curve":[{"step":1}]}"#, "`validation_loss`"),
            ("", "no JSON object"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
        assert!(Message::parse(b"{\"id\":1,\"error\":\"\xff\"}").unwrap_err().contains("UTF-8"));
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).unwrap_err().len() < 200);
    }

    #[test]
    fn a_curve_keeps_its_finite_points() {
        let line = r#"{"id":1,"loss":0.5,"curve":[{"step":1,"validation_loss":2,"training_loss":3},{"step":2,"validation_loss":null}]}"#;
        let Ok(Message::Of(1, Answer::Result { curve: Some(curve), .. })) = parse(line) else {
            panic!()
        };
        assert_eq!(
            curve,
            [Checkpoint {
                step: 1,
                training_loss: 3.0,
                validation: Metrics { loss: 2.0, accuracy: None }
            }]
        );
    }
}
