//! What the hub logs of itself, watched in every story: never an API key, never a token, a password or a webhook's secret, never a record's text.

use std::io;
use std::sync::{Mutex, Once};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// A word that stories put into records: wherever it shows in our log, a record's text got there.
pub(crate) const CANARY: &str = "kanarienvogel";
/// All that may be shown of a key: `lh_live_` and four characters.
const KEY_HEAD: &str = "lh_live_";
const SHOWN_AFTER_HEAD: usize = 4;
/// What tokens of people begin with, and how much of one is too much.
const TOKEN_HEADS: [&str; 3] = ["lhs_", "lhi_", "lhr_"];
const TOO_MUCH_AFTER_HEAD: usize = 8;
/// The word that stories put into passwords.
pub(crate) const PASSWORD_WORD: &str = "korrekturpferd";

static OFFENCES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Listens to everything from `debug` up of our crates, as production would write it. `LOGGERHUB_LOG` shows it, too.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = std::env::var_os("LOGGERHUB_LOG").is_some();
        let quiet = "debug,hyper=info,h2=info,aws=info,rustls=info,sqlx=info,opensearch=info,reqwest=info";
        let asked = std::env::var("LOGGERHUB_LOG").ok().filter(|_| shown).and_then(|directives| directives.parse::<Targets>().ok());
        let filter = asked.unwrap_or_else(|| quiet.parse().expect("directives"));
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(move || Listener { shown });
        let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
        let _ = shared::telemetry::metrics();
    });
}

/// # Panics
/// If something was logged that must not be.
pub(crate) fn assert_clean() {
    let offences = OFFENCES.lock().expect("no panic while held");
    assert!(offences.is_empty(), "our own log tells too much: {offences:?}");
}

struct Listener {
    shown: bool,
}

impl io::Write for Listener {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if text.contains(CANARY) || text.contains(PASSWORD_WORD) || text.contains("whsec_") || shows_a_key(&text) || shows_a_token(&text) {
            OFFENCES.lock().expect("no panic while held").push(text.clone().into_owned());
        }
        if self.shown {
            eprint!("{text}");
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shows_a_token(text: &str) -> bool {
    let is_of_token = |b: &u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
    let shows = |head: &str| text.match_indices(head).any(|(at, _)| text[at + head.len()..].bytes().take_while(is_of_token).count() >= TOO_MUCH_AFTER_HEAD);
    TOKEN_HEADS.into_iter().any(shows)
}

fn shows_a_key(text: &str) -> bool {
    text.match_indices(KEY_HEAD).any(|(at, _)| text[at + KEY_HEAD.len()..].bytes().take_while(u8::is_ascii_alphanumeric).count() > SHOWN_AFTER_HEAD)
}
