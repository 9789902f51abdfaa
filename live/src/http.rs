//! The page and its events over HTTP.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::unfold;
use symopt_cancel::CancelToken;
use symopt_pages::live::LivePage;

use crate::position::{self, Position};
use crate::watch::Watched;

/// Entries that one event holds, at most.
const BATCH: usize = 2_000;
/// Pages that are open at once, at most.
const PAGES: usize = 64;
/// How soon what waits for news looks whether it is to end.
const WAIT: Duration = Duration::from_millis(100);
/// How long connections have to end.
const END: Duration = Duration::from_secs(1);
/// How soon a page connects again, in milliseconds.
const RETRY: Duration = Duration::from_millis(1000);

#[derive(Clone)]
struct Served {
    page: Arc<LivePage>,
    watched: Arc<Watched>,
    cancel: CancelToken,
}

/// Serves until it is cancelled.
pub fn serve(listener: TcpListener, watched: Arc<Watched>, cancel: CancelToken) {
    // Whoever waits for the page sees that it does not come.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    let served = Served { page: Arc::new(LivePage::new()), watched, cancel: cancel.clone() };
    let app = Router::new()
        .route("/", get(page))
        .route("/events", get(events))
        .fallback(nothing)
        .with_state(served)
        .layer(middleware::from_fn(guard));
    runtime.block_on(async {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        let token = cancel.clone();
        let server = axum::serve(listener, app).with_graceful_shutdown(until(token));
        let server = tokio::spawn(async move { server.await });
        until(cancel).await;
        // A page that does not read must not keep the command.
        let _ = tokio::time::timeout(END, server).await;
    });
    runtime.shutdown_background();
}

async fn until(cancel: CancelToken) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(WAIT).await;
    }
}

/// Whether a host is this machine, whatever the port. Any other name may be one that an attacker
/// has had resolved to 127.0.0.1, so that a foreign page reads what is served here.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a request names this machine and no other one.
fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, further) = (hosts.next(), hosts.next());
    let named = host.and_then(|host| host.to_str().ok()).is_some_and(is_this_machine);
    let authority = uri.authority().is_none_or(|authority| is_this_machine(authority.as_str()));
    named && further.is_none() && authority
}

/// Refuses what is not for this machine, and says of every answer what a browser may do with it.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if !names_this_machine(request.uri(), request.headers()) {
        let text = "This page is for this machine alone: open it as http://127.0.0.1 or http://localhost, with its port.\n";
        (StatusCode::MISDIRECTED_REQUEST, text).into_response()
    } else if ![Method::GET, Method::HEAD].contains(request.method()) {
        let text = "Nothing can be changed here.\n";
        (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], text).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    response
}

async fn page(State(served): State<Served>) -> Response {
    let LivePage { html, policy } = &*served.page;
    let Ok(policy) = HeaderValue::from_str(policy) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, policy)], html.clone()).into_response()
}

async fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "There is nothing here but the page at /.\n").into_response()
}

/// How far a page has come, as it says when it connects.
fn position_of(uri: &Uri, headers: &HeaderMap) -> Vec<Position> {
    // A browser that connects again by itself says it with a header; the page's script, if that has
    // given up, in the address.
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let query = || {
        let pairs = uri.query()?.split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == "last").map(|p| p.1)
    };
    header.or_else(query).map(position::read).unwrap_or_default()
}

/// State of a page: the events that it has.
struct Told {
    served: Served,
    positions: Vec<Position>,
    /// How often the status of each store had changed when it was told.
    statuses: Vec<u64>,
    news: tokio::sync::watch::Receiver<u64>,
    is_new: bool,
    has_ended: bool,
}

async fn events(State(served): State<Served>, uri: Uri, headers: HeaderMap) -> Response {
    if !served.watched.open_page(PAGES) {
        let text = "So many pages are open that no other is served.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    let told = Told {
        positions: position_of(&uri, &headers),
        statuses: Vec::new(),
        news: served.watched.news(),
        served,
        is_new: true,
        has_ended: false,
    };
    let stream = unfold(told, |mut told| async move {
        loop {
            if told.has_ended {
                return None;
            }
            if let Some(event) = told.next() {
                return Some((Ok::<_, Infallible>(event), told));
            }
            if told.served.cancel.is_cancelled() {
                told.has_ended = true;
                return Some((Ok(Event::default().event("end").data("the server ends")), told));
            }
            // Nobody sends, or it takes long: both are looked at again.
            let _ = tokio::time::timeout(WAIT, told.news.changed()).await;
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}

impl Told {
    /// Returns the next event, if there is one.
    fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.is_new) {
            let count = self.served.watched.with(<[_]>::len);
            let data = format!(r#"{{"stores":{count}}}"#);
            return Some(Event::default().retry(RETRY).event("begin").data(data));
        }
        let Told { served, positions, statuses, .. } = self;
        served.watched.with(|stores| {
            positions.resize(stores.len(), Position::default());
            // Before the first status, so that no page says anything of stores that it has no name
            // of.
            if statuses.len() < stores.len() {
                statuses.resize(stores.len(), 0);
            }
            for (number, (store, told)) in stores.iter().zip(statuses.iter_mut()).enumerate() {
                let (text, changed) = store.said();
                if *told != changed {
                    *told = changed;
                    let data = format!(r#"{{"store":{number},"status":{text}}}"#);
                    return Some(Event::default().event("status").data(data));
                }
            }
            for (number, store) in stores.iter().enumerate() {
                let Some((from, entries, next)) = store.after(positions[number], BATCH) else {
                    continue;
                };
                let data = format!(
                    r#"{{"store":{number},"from":{from},"entries":[{}]}}"#,
                    entries.join(",")
                );
                positions[number] = next;
                let id = position::text(positions);
                return Some(Event::default().event("entries").id(id).data(data));
            }
            None
        })
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.served.watched.close_page();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_host_but_this_machine_is_served() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:7373", "[::1]:7373", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7373",
            "127.0.0.1.evil.example",
            "localhost.evil.example:7373",
            "127.0.0.1@evil.example",
            "evil.example#localhost",
            "localhost:7373:7373",
            "localhost:x",
            "0.0.0.0:7373",
            "127.0.0.2",
            "[::]",
            "::1",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let mut headers = HeaderMap::new();
        assert!(!names_this_machine(&uri("/"), &headers));
        headers.append(HOST, HeaderValue::from_static("localhost:1"));
        assert!(names_this_machine(&uri("/"), &headers));
        assert!(!names_this_machine(&uri("http://evil.example/"), &headers));
        headers.append(HOST, HeaderValue::from_static("localhost:1"));
        assert!(!names_this_machine(&uri("/"), &headers));
    }
}
