//! The hyperparameters of a program in use, with values of their own for some arrays.

use symopt_dsl::Program;

use crate::error::OptimizerError;
use crate::layout::Layout;

/// A hyperparameter of a program in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameter {
    /// Name in the program.
    pub name: String,
    /// Its value, for all arrays that have none of their own.
    pub value: f64,
    /// The value at each array; empty unless some array has a value of its own.
    pub by_array: Vec<f64>,
}

impl Hyperparameter {
    /// The value at an array.
    pub fn at(&self, array: usize) -> f64 {
        self.by_array.get(array).copied().unwrap_or(self.value)
    }
}

/// A hyperparameter's value for some arrays only.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Which arrays: a pattern that their names match.
    pub pattern: String,
    /// Name of the hyperparameter.
    pub name: String,
    /// Its value there.
    pub value: f64,
}

/// The hyperparameters of a program with their overrides.
#[derive(Clone, Debug)]
pub(crate) struct Hyperparameters {
    pub(crate) program: String,
    all: Vec<Hyperparameter>,
    overrides: Vec<Override>,
}

impl Hyperparameters {
    pub(crate) fn new(program: &Program) -> Hyperparameters {
        let default = |p: &symopt_dsl::program::Parameter| Hyperparameter {
            name: p.name.clone(),
            value: p.default.unwrap_or(0.0),
            by_array: Vec::new(),
        };
        let signature = program.signature();
        Hyperparameters {
            program: signature.name.clone(),
            all: signature.hyperparameters().map(|(_, p)| default(p)).collect(),
            overrides: Vec::new(),
        }
    }

    /// The same with other values.
    pub(crate) fn with(
        &self,
        values: &[(String, f64)],
        overrides: &[Override],
        arrays: &[impl AsRef<str>],
    ) -> Result<Hyperparameters, OptimizerError> {
        let mut changed = Hyperparameters { overrides: Vec::new(), ..self.clone() };
        for (name, value) in values {
            changed.set(name, *value, arrays)?;
        }
        for Override { pattern, name, value } in overrides {
            changed.set_for(pattern, name, *value, arrays)?;
        }
        Ok(changed)
    }

    pub(crate) fn all(&self) -> &[Hyperparameter] {
        &self.all
    }

    pub(crate) fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    fn find(&self, name: &str) -> Result<usize, OptimizerError> {
        self.all.iter().position(|h| h.name == name).ok_or_else(|| {
            OptimizerError::UnknownHyperparameter {
                program: self.program.clone(),
                name: name.to_owned(),
                known: self.all.iter().map(|h| h.name.clone()).collect(),
            }
        })
    }

    /// Sets a hyperparameter; arrays that have a value of their own keep it.
    pub(crate) fn set(
        &mut self,
        name: &str,
        value: f64,
        arrays: &[impl AsRef<str>],
    ) -> Result<(), OptimizerError> {
        let index = self.find(name)?;
        self.all[index].value = value;
        self.resolve(arrays)
    }

    /// Sets a hyperparameter for the arrays whose names match a pattern, and says how many they
    /// are. The last override that matches holds.
    pub(crate) fn set_for(
        &mut self,
        pattern: &str,
        name: &str,
        value: f64,
        arrays: &[impl AsRef<str>],
    ) -> Result<usize, OptimizerError> {
        self.find(name)?;
        let matcher = compile(pattern)?;
        let count = arrays.iter().filter(|array| matcher.matches(array.as_ref())).count();
        if count == 0 {
            let names = arrays.iter().map(|name| name.as_ref().to_owned()).collect();
            return Err(OptimizerError::NoArray { pattern: pattern.to_owned(), names });
        }
        self.overrides
            .retain(|known| (known.pattern.as_str(), known.name.as_str()) != (pattern, name));
        self.overrides.push(Override { pattern: pattern.to_owned(), name: name.to_owned(), value });
        self.resolve(arrays)?;
        Ok(count)
    }

    fn resolve(&mut self, arrays: &[impl AsRef<str>]) -> Result<(), OptimizerError> {
        for hyperparameter in &mut self.all {
            hyperparameter.by_array.clear();
            for Override { pattern, value, .. } in
                self.overrides.iter().filter(|o| o.name == hyperparameter.name)
            {
                let matcher = compile(pattern)?;
                hyperparameter.by_array.resize(arrays.len(), hyperparameter.value);
                for (at, _) in hyperparameter
                    .by_array
                    .iter_mut()
                    .zip(arrays)
                    .filter(|(_, array)| matcher.matches(array.as_ref()))
                {
                    *at = *value;
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn array_names(layout: &Layout) -> Vec<&str> {
    layout.arrays().iter().map(|array| array.name.as_str()).collect()
}

fn compile(pattern: &str) -> Result<glob::Pattern, OptimizerError> {
    glob::Pattern::new(pattern).map_err(|error| OptimizerError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.msg.to_owned(),
    })
}
