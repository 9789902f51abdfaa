//! The machine that was measured.

use serde::Serialize;

/// Properties of the machine that the numbers of a benchmark depend on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model of the processor, where the system tells it.
    pub processor: String,
    /// Threads that can run at the same time.
    pub cores: usize,
    /// The widest instructions that the loops use.
    pub simd: &'static str,
}

impl Machine {
    /// This machine.
    pub fn this() -> Machine {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Machine {
            processor: model.map_or_else(
                || std::env::consts::ARCH.to_owned(),
                |(_, name)| name.trim().to_owned(),
            ),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            simd: symopt_evaluator::simd::level().name(),
        }
    }
}

/// Bytes of memory that can be had without swapping, where the system tells it.
pub fn available_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}
