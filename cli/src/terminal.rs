//! What the terminal behind the standard output can show.

use std::io::IsTerminal;

/// Columns of the terminal, within reason; 100 where there is none.
pub fn columns() -> usize {
    const USUAL: usize = 100;
    if !std::io::stdout().is_terminal() {
        return USUAL;
    }
    #[cfg(unix)]
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    #[cfg(not(unix))]
    let columns = None;
    columns.unwrap_or(USUAL).clamp(40, 240)
}

/// Whether the standard output may be coloured.
pub fn color() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
