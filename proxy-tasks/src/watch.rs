//! What long work tells its caller, and asks.

/// Who watches the work.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Asked often, from all threads; true ends the work with an error that says so.
    pub interrupted: &'a (dyn Fn() -> bool + Sync),
    /// Told about every program that has been trained on a seed, from all threads: how many there
    /// are so far, and how many are planned.
    pub observe: &'a (dyn Fn(usize, usize) + Sync),
}

impl Watch<'_> {
    /// Nobody.
    pub const NOBODY: Watch<'static> = Watch { interrupted: &|| false, observe: &|_, _| {} };
}
