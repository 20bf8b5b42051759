//! What people look for in the events: words by how frequent they are, phrases, pieces of names and of ids.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::{Context, bail};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::Deserialize;
use shared::query::words::{Word, lowered_words, parts, words};

use crate::data::Event;

/// A word is rare in so many events at most, and frequent from one event in so many on.
const RARE_IN: usize = 5;
const FREQUENT_ONE_IN: usize = 20;
/// Words of a phrase.
const PHRASE: usize = 3;
/// Shortest word of letters that somebody would look for.
const SHORTEST: usize = 4;
/// Digits of the groups of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

pub(super) struct Vocabulary<'a> {
    texts: Vec<Texts<'a>>,
    rare: Vec<String>,
    frequent: HashSet<String>,
    /// Runs of parts of names in camel case.
    of_names: Vec<String>,
    /// Groups out of the middle of UUIDs.
    of_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Texts<'a> {
    #[serde(borrow)]
    message: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    full_log: std::borrow::Cow<'a, str>,
}

impl<'a> Vocabulary<'a> {
    pub(super) fn of(events: &'a [Event]) -> anyhow::Result<Self> {
        let texts: Vec<Texts<'a>> = events.iter().map(|event| serde_json::from_str(event)).collect::<Result<_, _>>().context("an event lacks texts")?;
        let mut events_with = HashMap::<String, usize>::new();
        // In order, so that the same seed picks the same.
        let (mut of_names, mut of_ids) = (BTreeSet::new(), BTreeSet::new());
        for texts in &texts {
            let here: HashSet<String> = lowered_words(&texts.message).chain(lowered_words(&texts.full_log)).filter(|word| is_plain(word)).collect();
            here.into_iter().for_each(|word| *events_with.entry(word).or_default() += 1);
            let all: Vec<Word<'_>> = words(&texts.full_log).collect();
            of_names.extend(all.iter().filter_map(|word| run_of(word.text)));
            of_ids.extend(all.windows(UUID.len()).filter_map(|groups| piece_of_uuid(&texts.full_log, groups)));
        }
        let frequent_from = texts.len() / FREQUENT_ONE_IN;
        let mut rare: Vec<String> = events_with.iter().filter(|(_, events)| **events <= RARE_IN).map(|(word, _)| word.clone()).collect();
        rare.sort_unstable();
        let frequent = events_with.into_iter().filter(|(_, events)| *events >= frequent_from).map(|(word, _)| word).collect();
        let all = Self { texts, rare, frequent, of_names: of_names.into_iter().collect(), of_ids: of_ids.into_iter().collect() };
        if all.rare.is_empty() || all.frequent.len() < 2 || all.of_names.is_empty() || all.of_ids.is_empty() {
            bail!("the events are too few, or too much alike, to look for something in them");
        }
        Ok(all)
    }

    pub(super) fn rare(&self, rng: &mut StdRng) -> String {
        self.rare.choose(rng).cloned().unwrap_or_default()
    }

    /// One that many events hold.
    pub(super) fn frequent(&self, rng: &mut StdRng) -> String {
        self.two_frequent(rng).0
    }

    /// Two that many events hold, and one event both.
    pub(super) fn two_frequent(&self, rng: &mut StdRng) -> (String, String) {
        loop {
            let here: BTreeSet<String> = lowered_words(&self.any(rng).full_log).filter(|word| self.frequent.contains(word)).collect();
            let here: Vec<String> = here.into_iter().collect();
            if let [one, other] = &here.choose_multiple(rng, 2).collect::<Vec<_>>()[..] {
                return ((*one).clone(), (*other).clone());
            }
        }
    }

    /// Words that stand side by side in a message.
    pub(super) fn phrase(&self, rng: &mut StdRng) -> String {
        loop {
            let all: Vec<String> = lowered_words(&self.any(rng).message).collect();
            let runs: Vec<&[String]> = all.windows(PHRASE).filter(|run| run.iter().any(|word| is_plain(word))).collect();
            if let Some(run) = runs.choose(rng) {
                return run.join(" ");
            }
        }
    }

    /// A piece of a name in camel case, or of a UUID.
    pub(super) fn piece(&self, rng: &mut StdRng) -> String {
        let from = if rng.random() { &self.of_names } else { &self.of_ids };
        from.choose(rng).cloned().unwrap_or_default()
    }

    /// A word of a text, if there is one that somebody would look for.
    pub(super) fn word_of(text: &str, rng: &mut StdRng) -> Option<String> {
        lowered_words(text).filter(|word| is_plain(word)).collect::<Vec<_>>().choose(rng).cloned()
    }

    fn any(&self, rng: &mut StdRng) -> &Texts<'a> {
        &self.texts[rng.random_range(0..self.texts.len())]
    }
}

fn is_plain(word: &str) -> bool {
    word.len() >= SHORTEST && word.bytes().all(|b| b.is_ascii_lowercase())
}

/// All parts of a name but the first, or but the last of three and more.
fn run_of(word: &str) -> Option<String> {
    let parts = parts(word)?;
    let run = if parts.len() > 2 { &word[..word.len() - parts.last()?.len()] } else { &word[parts[0].len()..] };
    (run.len() >= SHORTEST && run.bytes().all(|b| b.is_ascii_alphabetic())).then(|| run.to_owned())
}

/// The second and the third group.
fn piece_of_uuid(text: &str, groups: &[Word<'_>]) -> Option<String> {
    let hex = |word: &Word<'_>| word.text.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = groups.iter().zip(UUID).all(|(word, digits)| word.text.len() == digits && hex(word));
    let (from, to) = (groups[1].at, groups[2].at + groups[2].text.len());
    (fits && to - from == UUID[1] + 1 + UUID[2]).then(|| text[from..to].to_owned())
}
