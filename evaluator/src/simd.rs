//! Which vector instructions the numeric loops use, chosen once while the program runs.
//!
//! [`simd_dispatch!`](crate::simd_dispatch) compiles a function for each [`Level`] and calls the
//! best one that the processor has. All levels give the same bits: no loop contracts a product and
//! a sum into a fused multiply-add, and reductions have a fixed order. [`limit`] forces the lower
//! levels, so that a test can show it.

use std::sync::atomic::{AtomicU8, Ordering};

/// A set of vector instructions; each holds those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Instructions that every processor of the architecture has: SSE2 on x86-64, NEON on 64-bit
    /// ARM.
    Baseline = 1,
    /// x86-64-v3: AVX2.
    Avx2 = 2,
    /// x86-64-v4: AVX-512 F, BW, CD, DQ and VL.
    Avx512 = 3,
}

impl Level {
    /// All levels, the lowest first.
    pub const ALL: [Level; 3] = [Level::Baseline, Level::Avx2, Level::Avx512];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Level::Baseline => "baseline",
            Level::Avx2 => "AVX2",
            Level::Avx512 => "AVX-512",
        }
    }
}

/// The level in use; 0 until it is asked for.
static IN_USE: AtomicU8 = AtomicU8::new(0);

/// The level in use: the highest that the processor has, unless [`limit`] has said less.
#[inline]
pub fn level() -> Level {
    match IN_USE.load(Ordering::Relaxed) {
        1 => Level::Baseline,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => limit(Level::Avx512),
    }
}

/// Uses at most this level from now on, in the whole process, and says which one that is. For tests
/// and measurements.
pub fn limit(most: Level) -> Level {
    let level = detect().min(most);
    IN_USE.store(level as u8, Ordering::Relaxed);
    level
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    macro_rules! has {
        ($($feature:tt)*) => { $(std::arch::is_x86_feature_detected!($feature))&&* };
    }
    // The features that `simd_dispatch!` enables, neither more nor less.
    let avx2 = has!("avx2" "fma" "bmi1" "bmi2" "lzcnt" "popcnt");
    let avx512 = avx2 && has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl");
    match (avx512, avx2) {
        (true, _) => Level::Avx512,
        (_, true) => Level::Avx2,
        _ => Level::Baseline,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Baseline
}

/// A function that is compiled for each [`Level`](crate::simd::Level). Everything that its loops
/// call must be `#[inline(always)]`, or it is compiled for the lowest level only.
///
/// ```
/// symopt_evaluator::simd_dispatch! {
///     /// Doubles every number.
///     fn double(x: &mut [f32]) {
///         x.iter_mut().for_each(|x| *x *= 2.0);
///     }
/// }
/// let mut x = [1.0, 2.0];
/// double(&mut x);
/// assert_eq!(x, [2.0, 4.0]);
/// ```
#[macro_export]
macro_rules! simd_dispatch {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident $(<$generic:ident: $bound:path>)? ($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block
    ) => {
        $(#[$attribute])*
        #[allow(clippy::too_many_arguments)]
        $visibility fn $name $(<$generic: $bound>)? ($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn body $(<$generic: $bound>)? ($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
                fn avx512 $(<$generic: $bound>)? ($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
                fn avx2 $(<$generic: $bound>)? ($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }
                match $crate::simd::level() {
                    // SAFETY: `level` is never above what was detected, and it detects all features
                    // that are enabled here.
                    $crate::simd::Level::Avx512 => return unsafe { avx512($($argument),*) },
                    // SAFETY: as above.
                    $crate::simd::Level::Avx2 => return unsafe { avx2($($argument),*) },
                    $crate::simd::Level::Baseline => {}
                }
            }
            body($($argument),*)
        }
    };
}
