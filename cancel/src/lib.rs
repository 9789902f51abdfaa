//! Tokens that end work before it is done.
//!
//! Whoever starts work makes a [`CancelToken`], or a [child](CancelToken::child) of the one it was
//! given, and passes it down. The work looks at it often (between two steps of a training, 20 times
//! a second where it waits for a process) and ends with [`Cancelled`]. Nothing here is global: two
//! pieces of work in one process, each with a token of its own, are cancelled independently.
//!
//! ```
//! use symopt_cancel::{CancelToken, Cancelled};
//!
//! fn count(to: u64, cancel: &CancelToken) -> Result<u64, Cancelled> {
//!     let mut counted = 0;
//!     while counted < to {
//!         cancel.check()?;
//!         counted += 1;
//!     }
//!     Ok(counted)
//! }
//!
//! let everything = CancelToken::new();
//! let one = everything.child();
//! one.cancel();
//! assert_eq!(count(3, &one), Err(Cancelled::default()));
//! assert_eq!(count(3, &everything), Ok(3));
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Says whether work is to end before it is done. A clone is the same token; a
/// [child](CancelToken::child) is a token of its own that its parent cancels too. A cancelled token
/// stays cancelled: what may run again gets a new child.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Node>);

#[derive(Debug, Default)]
struct Node {
    cancelled: AtomicBool,
    deadline: Option<Instant>,
    parent: Option<CancelToken>,
}

impl CancelToken {
    /// Returns a token that nothing but its own [`cancel`](CancelToken::cancel) cancels.
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// Returns a token that is cancelled when this one is, or by itself.
    pub fn child(&self) -> CancelToken {
        self.child_until(None)
    }

    /// Returns a child that a deadline, if there is one, cancels too.
    pub fn child_until(&self, deadline: Option<Instant>) -> CancelToken {
        let cancelled = AtomicBool::new(false);
        CancelToken(Arc::new(Node { cancelled, deadline, parent: Some(self.clone()) }))
    }

    /// Cancels the work that holds this token or a child of it. It ends soon, not at once: wait for
    /// it as for any other result.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether this token or one above it was cancelled, or the deadline of one is over. The cost
    /// is that of reading a flag for each generation, and the clock where there is a deadline.
    pub fn is_cancelled(&self) -> bool {
        let mut token = Some(self);
        while let Some(CancelToken(node)) = token {
            if node.cancelled.load(Ordering::Relaxed)
                || node.deadline.is_some_and(|deadline| Instant::now() >= deadline)
            {
                return true;
            }
            token = node.parent.as_ref();
        }
        false
    }

    /// Fails with [`Cancelled`] if the token is cancelled.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled::default()) } else { Ok(()) }
    }

    /// As [`check`](CancelToken::check), with an error that says during what it happened, such as
    /// `task digits was running`.
    pub fn check_during(&self, work: impl FnOnce() -> String) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled::during(work())) } else { Ok(()) }
    }
}

/// Work ended before it was done, since its token was cancelled. It has no result, and what it may
/// have begun says nothing about its input.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("interrupted{}", .during.as_ref().map_or_else(String::new, |work| format!(" while {work}")))]
pub struct Cancelled {
    during: Option<String>,
}

impl Cancelled {
    /// Says during what it happened, such as `task digits was running`.
    pub fn during(work: impl Into<String>) -> Cancelled {
        Cancelled { during: Some(work.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_parent_cancels_all_below_it_and_nothing_beside_or_above() {
        let root = CancelToken::new();
        let (left, right) = (root.child(), root.child());
        let (below, beside) = (left.child(), left.child());
        left.cancel();
        assert!([&left, &below, &beside].iter().all(|token| token.is_cancelled()));
        assert!(!root.is_cancelled() && !right.is_cancelled());
        assert!(!CancelToken::new().is_cancelled());
        // A child of a token that is cancelled already is born cancelled.
        assert!(left.child().is_cancelled());
        root.cancel();
        assert!(right.is_cancelled());
    }

    #[test]
    fn a_clone_is_the_same_token() {
        let token = CancelToken::new();
        let (clone, child) = (token.clone(), token.child());
        clone.cancel();
        assert!(token.is_cancelled() && child.is_cancelled());
    }

    #[test]
    fn a_child_is_cancelled_by_a_parent_that_only_it_holds() {
        let root = CancelToken::new();
        let below = root.child().child().child();
        assert!(!below.is_cancelled());
        root.cancel();
        assert!(below.is_cancelled());
    }

    #[test]
    fn a_deadline_cancels_the_child_and_not_the_parent() {
        let root = CancelToken::new();
        let over = root.child_until(Some(Instant::now()));
        let below = over.child_until(Some(Instant::now() + Duration::from_secs(3600)));
        assert!(over.is_cancelled() && below.is_cancelled());
        assert!(!root.is_cancelled() && !root.child_until(None).is_cancelled());
        let far = root.child_until(Some(Instant::now() + Duration::from_secs(3600)));
        assert!(!far.is_cancelled());
        far.cancel();
        assert!(far.is_cancelled() && !root.is_cancelled());
    }

    #[test]
    fn another_thread_cancels_work_that_looks() {
        let token = CancelToken::new();
        let worker = {
            let token = token.child();
            std::thread::spawn(move || while !token.is_cancelled() {})
        };
        token.cancel();
        assert!(worker.join().is_ok());
    }

    #[test]
    fn the_error_says_during_what_it_happened() {
        let token = CancelToken::new();
        assert_eq!(token.check_during(|| unreachable!("nothing was cancelled")), Ok(()));
        token.cancel();
        assert_eq!(token.check().map_err(|error| error.to_string()), Err("interrupted".to_owned()));
        let error = token.check_during(|| "task digits was running".to_owned());
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("interrupted while task digits was running".to_owned())
        );
    }
}
