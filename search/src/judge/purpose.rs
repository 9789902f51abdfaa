//! Seeds that no search has, for each purpose outside of searches.

use serde::{Deserialize, Serialize};

/// Purpose of judging programs. Each purpose has seeds of its own: those of a search whose seed is
/// this number, which no search should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The choice among programs in a funnel.
    Funnel,
    /// The choice of the program that a restart begins with.
    Restart,
    /// The report at the end of a campaign.
    Report,
    /// Trials of what a direction can do without.
    Simplification,
    /// The learning rate and the decay that a direction is trained with on a task of another
    /// search.
    Training,
    /// The race of a search's finalists.
    Finalists,
    /// The comparison at the end of a discovery.
    Discovery,
}

impl Purpose {
    /// The seed of a search that stands for it.
    pub fn search(self) -> u64 {
        match self {
            Purpose::Funnel => 0xf_ffff,
            Purpose::Restart => 0xf_fffe,
            Purpose::Report => 0xf_fffd,
            Purpose::Simplification => 0xf_fffc,
            Purpose::Training => 0xf_fffb,
            Purpose::Finalists => 0xf_fffa,
            Purpose::Discovery => 0xf_fff9,
        }
    }
}

#[cfg(test)]
mod tests {
    use symopt_proxy_tasks::suite::Suite;

    use super::*;

    #[test]
    fn every_purpose_has_seeds_of_its_own() {
        let seeds = |purpose: Purpose| Suite::rotating_seeds(purpose.search(), 0, 500);
        let purposes = [
            Purpose::Funnel,
            Purpose::Restart,
            Purpose::Report,
            Purpose::Simplification,
            Purpose::Training,
            Purpose::Finalists,
            Purpose::Discovery,
        ];
        let mut all: Vec<u64> = purposes.into_iter().flat_map(seeds).collect();
        all.extend(Suite::held_out_seeds(500));
        all.extend(Suite::tuning_seeds(500));
        all.extend(Suite::rotating_seeds(0, 0, 500));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
