//! The store of a search: every evaluation, acknowledged before it counts, in a directory.
//!
//! | file | what it holds |
//! |---|---|
//! | `symopt-store.json` | what the directory is, and its format version; it comes last, so that a store is there whole or not at all |
//! | `journal/log` | settings and evaluations: frames with checksums, one after the other |
//! | `journal/index` | where evaluations stand in the log, by hash; it follows from the log and may be missing |
//! | `journal/state` | the search state of a while ago, from which the search is resumed; it follows from the log and may be missing |
//! | `acknowledged` | the *witness*: how many evaluations had been acknowledged when it was last written; if the log has fewer, it has lost some |
//! | `lock` | locked by the process that writes |
//!
//! Since a search follows from its settings, the journal keeps the settings and the evaluations and
//! nothing else that could not be bred again; improvements and statistics are there for readers.
//! Its contents do not depend on the time or on the number of threads, but for the words of
//! failures of external tasks. For a search on such tasks it also keeps the baseline and the
//! evaluation of the initial program, which can't be made again.
//!
//! An evaluation is acknowledged when the frame that holds it is written and the system says that
//! it is on the disk (fdatasync). Then a kill loses nothing of it, and neither does a loss of
//! power, as far as the system and the disk keep their word. The witness is written after that and
//! not waited for: after a loss of power it may be behind, which does no harm. A frame that is cut
//! off at the end of the log was not acknowledged; who opens the store to write cuts it off.
//!
//! Readers need neither a lock nor the right to write, and copy nothing: they read up to the last
//! whole frame, also while a search runs. A store that is damaged, foreign or from a newer release
//! is refused, and nothing in it is touched. Stores of earlier formats, which are sled databases,
//! are read through a temporary copy, since sled writes where it only reads, and become logs when
//! they are opened to write.

mod checked;
mod encoding;
mod error;
pub mod failures;
pub mod follow;
mod frame;
pub mod hall_of_fame;
mod index;
pub mod journal;
mod lock;
mod log;
mod manifest;
mod old;
mod origin;
pub mod program_source;
mod record;
mod state;
pub mod statistics;
pub mod stop_reason;
mod witness;

pub(crate) use self::log::{Evaluations, Log};
pub(crate) use self::state::{StateReader, StateWriter};
use crate::directory::Kind;

/// Goes up when an earlier release can't read a store of this one. All versions so far can be read.
/// A store of version 1 lacks settings that could not be chosen then, whose values stand for what
/// the search did, and its journal has no revisions. One of version 2 has no external tasks, and so
/// no failures and nothing that is kept of them. Up to version 3 the journal is a sled database.
pub const FORMAT_VERSION: u32 = 4;

/// The last version whose journal is a sled database.
const LAST_SLED: u32 = 3;

const FORMAT: &str = "symopt store";
const MANIFEST: &str = "symopt-store.json";
const JOURNAL: &str = "journal";
const LOG: &str = "journal/log";
const INDEX: &str = "journal/index";
const STATE: &str = "journal/state";
const WITNESS: &str = "acknowledged";
const LOCK: &str = "lock";
/// The manifest of a campaign, whose directory holds stores.
pub const CAMPAIGN: &str = "symopt-campaign.json";

fn is_unfinished_campaign(name: &str) -> bool {
    name == "symopt-campaign.json.new" || crate::directory::is_unfinished(name, CAMPAIGN)
}

/// Stores, for [`crate::directory`].
pub static KIND: Kind = Kind {
    parts: &[JOURNAL, LOG, INDEX, WITNESS, LOCK, "symopt-campaign.json.new"],
    // The files of sled before the manifest came, or a campaign that was not finished. Whoever has
    // the witness of an evaluation was whole once.
    earlier: |name| {
        [JOURNAL, WITNESS, LOCK].contains(&name)
            || old::is_of_database(name)
            || is_unfinished_campaign(name)
    },
    is_empty: |path| {
        witness::read_witness(path).is_ok_and(|count| count == 0) || !path.join(WITNESS).exists()
    },
    ..Kind::of(MANIFEST)
};
