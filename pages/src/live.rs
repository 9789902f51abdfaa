//! The page that follows searches while they run. It holds nothing of them: a server sends it what
//! it shows, and its script puts that into the page as text.

use askama::Template;

use crate::page::{STYLE, allowed};

const LIVE_STYLE: &str = include_str!("../assets/live.css");
const LIVE_SCRIPT: &str = include_str!("../assets/live.js");

/// The page and the policy that it is to be served with.
#[derive(Clone, Debug)]
pub struct LivePage {
    /// The page.
    pub html: String,
    /// Its content security policy: its own script and style, and events from where it comes from.
    pub policy: String,
}

#[derive(Template)]
#[template(path = "live.html")]
struct LiveTemplate {
    style: String,
    script: &'static str,
    version: &'static str,
}

impl LivePage {
    /// The page.
    pub fn new() -> LivePage {
        let style = format!("{STYLE}{LIVE_STYLE}");
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            allowed(LIVE_SCRIPT),
            allowed(&style)
        );
        let template =
            LiveTemplate { style, script: LIVE_SCRIPT, version: env!("CARGO_PKG_VERSION") };
        // Writing to a string does not fail, and nothing else in the template does.
        LivePage { html: template.render().unwrap_or_default(), policy }
    }
}

impl Default for LivePage {
    fn default() -> LivePage {
        LivePage::new()
    }
}
