//! The stores that are watched.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use symopt_cancel::CancelToken;
use symopt_studies::restarts;
use tokio::sync::watch;

use crate::LiveError;
use crate::position::MOST;
use crate::tracked::{Tracked, hall_of};

/// How often journals are looked at while a page is open, and while none is.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_UNWATCHED: Duration = Duration::from_secs(2);
/// How often it is looked whether a campaign has further stores.
const CAMPAIGNS: Duration = Duration::from_secs(3);
/// A hall of fame is made at most so often, and not so often that it would take more than this
/// share of a core.
const HALL: Duration = Duration::from_secs(2);
const HALL_SHARE: u32 = 20;
/// How long threads sleep before they look whether they are to end.
const NAP: Duration = Duration::from_millis(50);

/// The stores, and who waits for news of them.
#[derive(Debug)]
pub struct Watched {
    stores: Mutex<Stores>,
    /// Goes up whenever there is something new.
    news: watch::Sender<u64>,
    pages: AtomicUsize,
}

#[derive(Default)]
struct Stores {
    tracked: Vec<Tracked>,
    campaigns: Vec<PathBuf>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.tracked.iter().map(|tracked| &tracked.path)).finish()
    }
}

impl Watched {
    /// None yet.
    pub fn new() -> Watched {
        let (stores, news) = (Mutex::default(), watch::Sender::new(0));
        Watched { stores, news, pages: AtomicUsize::new(0) }
    }

    fn stores(&self) -> MutexGuard<'_, Stores> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a store, or the stores of a campaign.
    pub fn add(&self, path: &Path) -> Result<(), LiveError> {
        let paths = restarts::stores(path)?;
        let mut opened = Vec::new();
        for path in paths {
            if !self.stores().tracked.iter().any(|tracked| tracked.path == path) {
                opened.push(Tracked::open(path)?);
            }
        }
        let mut stores = self.stores();
        let count = stores.tracked.len() + opened.len();
        if count > MOST {
            return Err(LiveError::Many { count, most: MOST });
        }
        stores.tracked.extend(opened);
        if restarts::is_campaign(path) && !stores.campaigns.iter().any(|known| known == path) {
            stores.campaigns.push(path.to_owned());
        }
        drop(stores);
        self.tell();
        Ok(())
    }

    /// Returns a receiver of news.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Counts a page that opens. False if so many are open that no other is taken.
    pub fn open_page(&self, most: usize) -> bool {
        if self.pages.fetch_add(1, Ordering::Relaxed) >= most {
            self.close_page();
            return false;
        }
        true
    }

    /// Counts a page that closes.
    pub fn close_page(&self) {
        self.pages.fetch_sub(1, Ordering::Relaxed);
    }

    /// Does something with the stores as they are.
    pub fn with<T>(&self, f: impl FnOnce(&[Tracked]) -> T) -> T {
        f(&self.stores().tracked)
    }

    /// Follows the journals until it is cancelled.
    pub fn follow(&self, cancel: &CancelToken) {
        let mut campaigns_read = Instant::now();
        while !cancel.is_cancelled() {
            let begin = Instant::now();
            if campaigns_read.elapsed() >= CAMPAIGNS {
                campaigns_read = begin;
                let campaigns = self.stores().campaigns.clone();
                for campaign in campaigns {
                    // Those that can't be read, or are too many, are not shown.
                    let _ = self.add(&campaign);
                }
            }
            let count = self.with(<[Tracked]>::len);
            let mut is_new = false;
            for number in 0..count {
                // One after the other, so that no page waits long.
                if let Some(tracked) = self.stores().tracked.get_mut(number) {
                    is_new |= tracked.look();
                }
            }
            if is_new {
                self.tell();
            }
            while !cancel.is_cancelled() {
                let is_watched = self.pages.load(Ordering::Relaxed) > 0;
                if begin.elapsed() >= if is_watched { LOOK } else { LOOK_UNWATCHED } {
                    break;
                }
                sleep(NAP);
            }
        }
    }

    /// Makes halls of fame until it is cancelled, while a page is open.
    pub fn make_halls(&self, cancel: &CancelToken) {
        // When each may be made again.
        let mut due: Vec<Instant> = Vec::new();
        while !cancel.is_cancelled() {
            sleep(NAP);
            if self.pages.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let count = self.with(<[Tracked]>::len);
            due.resize(count, Instant::now());
            for (number, due) in due.iter_mut().enumerate() {
                let begin = Instant::now();
                if cancel.is_cancelled() || begin < *due {
                    continue;
                }
                let wanted = self.with(|stores| stores.get(number).and_then(Tracked::wants_hall));
                let Some(wanted) = wanted else { continue };
                let made = hall_of(wanted);
                if let (Ok(hall), Some(tracked)) = (made, self.stores().tracked.get_mut(number)) {
                    tracked.take_hall(hall);
                }
                self.tell();
                *due = Instant::now() + HALL.max(HALL_SHARE * begin.elapsed());
            }
        }
    }
}
