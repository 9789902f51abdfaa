//! Whether memory can be had, before it is asked for where a refusal would end the process.

use std::sync::OnceLock;

/// There is not so much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it needs {} of memory, more than this process can have; make the model, the batch or the examples smaller", readable(*.0))]
pub struct Shortage(u128);

/// Refuses a number of bytes that the process can't have: more than the machine or its container
/// has altogether, or than the system grants. The granted memory is freed at once, untouched, so
/// that this takes no time.
pub fn check(bytes: u128) -> Result<(), Shortage> {
    let grants = |bytes: usize| Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
    match usize::try_from(bytes) {
        Ok(count) if bytes <= capacity() && grants(count) => Ok(()),
        _ => Err(Shortage(bytes)),
    }
}

/// Bytes that the machine has, or the container if that has fewer.
fn capacity() -> u128 {
    static CAPACITY: OnceLock<u128> = OnceLock::new();
    *CAPACITY.get_or_init(|| {
        let of_container =
            ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
                .into_iter()
                .find_map(|path| {
                    let text = std::fs::read_to_string(path).ok()?;
                    // Without a limit the file holds a word.
                    text.trim().parse::<u128>().ok()
                });
        of_machine().min(of_container.unwrap_or(u128::MAX))
    })
}

#[cfg(target_os = "linux")]
fn of_machine() -> u128 {
    let info = rustix::system::sysinfo();
    (u128::from(info.totalram) + u128::from(info.totalswap)) * u128::from(info.mem_unit.max(1))
}

#[cfg(not(target_os = "linux"))]
fn of_machine() -> u128 {
    u128::MAX
}

fn readable(bytes: u128) -> String {
    let bytes = bytes as f64;
    match bytes {
        _ if bytes >= 1e15 => "more than 1,000,000 GB".to_owned(),
        _ if bytes >= 1e9 => format!("{:.1} GB", bytes / 1e9),
        _ => format!("{:.1} MB", bytes / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_had_is_granted_and_what_no_machine_has_is_refused_with_its_size() {
        assert_eq!(check(1 << 20), Ok(()));
        for bytes in [1 << 60, u128::from(u64::MAX), u128::MAX] {
            assert_eq!(check(bytes), Err(Shortage(bytes)));
        }
        assert!(Shortage(2_900_000_000).to_string().contains("2.9 GB"));
    }
}
