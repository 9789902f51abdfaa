//! One module for each command.

pub mod bench;
pub mod campaign;
pub mod cluster;
pub mod completions;
pub mod conformance;
pub mod diff;
pub mod discover;
pub mod export;
pub mod funnel;
pub mod identify;
pub mod inspect;
pub mod programs;
pub mod rediscover;
pub mod report;
pub mod resume;
pub mod runs;
pub mod search;
pub mod serve;
pub mod simplify;
pub mod study;
pub mod tasks;
pub mod top;
pub mod train;
pub mod tune;
pub mod worker;
