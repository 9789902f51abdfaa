//! The libraries that draw the figures, as their packages have them.

/// A library that pages hold.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// Name of its package in the npm registry.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its licence, as SPDX names it; the text is in [`LICENCES`].
    pub licence: &'static str,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: &'static str,
    /// The file.
    pub file: &'static str,
}

/// In the order in which they are loaded. `vega-embed` holds `vega-interpreter` 2.3.2, which reads
/// the expressions of specifications, so that no code has to be made at run time.
pub const LIBRARIES: [Library; 3] = [
    Library {
        name: "vega",
        version: "6.4.0",
        licence: "BSD-3-Clause",
        sha256: "8f6a3587cf8d4f42c7e08120e3eb05d067e746d554e39d2dcf52acc0bd5ba28f",
        file: include_str!("../vendor/vega.min.js"),
    },
    Library {
        name: "vega-lite",
        version: "6.4.3",
        licence: "BSD-3-Clause",
        sha256: "35a9821df838825b05a6a73e9414b58747a1b18321583858ed903c66393a5c7e",
        file: include_str!("../vendor/vega-lite.min.js"),
    },
    Library {
        name: "vega-embed",
        version: "7.3.0",
        licence: "BSD-3-Clause",
        sha256: "b1455caba2fb1a72fb46025ba0ba1316e2dbc7f0dd40a3f6040172bf9c08ba91",
        file: include_str!("../vendor/vega-embed.min.js"),
    },
];

/// The licences of all that they contain.
pub const LICENCES: &str = include_str!("../vendor/LICENCES.txt");

impl Library {
    /// The script, without the last line, which would have a browser's tools ask for a file.
    pub fn script(&self) -> &'static str {
        match self.file.rfind("\n//# sourceMappingURL=") {
            Some(end) => &self.file[..end],
            None => self.file.trim_end(),
        }
    }
}
