//! A world for each story: fresh names in the real engines, a hub in this process, and nothing left of either afterwards.

mod answer;
mod by_hand;
mod caller;
mod certificates;
mod connect;
mod encoding;
mod event_bus;
mod events;
mod eventually;
mod lambda;
mod leftovers;
mod name;
mod own_cluster;
mod own_engine;
mod own_log;
mod process;
mod property;
mod receiver;
mod records;
mod sent;
mod stores;
mod wire;
mod world;

pub(crate) use answer::{Answer, Seen, ids, logs, texts};
pub(crate) use caller::{Caller, Sending, batch_id};
pub(crate) use certificates::Certificates;
pub(crate) use encoding::Encoding;
pub(crate) use events::Events;
pub(crate) use eventually::{SOON, eventually};
pub(crate) use lambda::{BellQueue, Lambda};
pub(crate) use own_cluster::OwnCluster;
pub(crate) use own_engine::{Kind, OwnEngine};
pub(crate) use own_log::{CANARY, PASSWORD_WORD};
pub(crate) use property::for_all;
pub(crate) use receiver::{Manner, Received, Receiver};
pub(crate) use records::{log_id, numbered, plain, sample, sample_files, shared_data};
pub(crate) use sent::Sent;
pub(crate) use wire::{NOWHERE, Wire};
pub(crate) use world::{Running, World};

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use shared::settings::Env;
use tokio::sync::Semaphore;

/// Worlds at once: each is a hub with some connections, and the engines share the machine with them.
static WORLDS: Semaphore = Semaphore::const_new(AT_ONCE as usize);
const AT_ONCE: u32 = 6;
/// Settings of a hub that takes requests and never drains: its linger is an hour.
pub(crate) const NEVER_DRAINS: [(&str, &str); 1] = [("LOGGERHUB_LINGER_MS", "3600000")];
/// How long work on blocking threads may take to end once its world has ended.
const LAST_WORK: Duration = Duration::from_secs(5);

/// Tells a story in a world of its own. Whatever comes of it, nothing is left in the engines.
pub(crate) fn story(body: impl AsyncFnOnce(&World) + Send) {
    tell(1, &engines(), &[], body);
}

/// As [`story`], with other settings for the world's first hub.
pub(crate) fn story_with(settings: &[(&str, &str)], body: impl AsyncFnOnce(&World) + Send) {
    tell(1, &engines(), settings, body);
}

/// As [`story`], with an engine of its own.
pub(crate) fn story_on(own: &OwnEngine, body: impl AsyncFnOnce(&World) + Send) {
    let (setting, url) = own.setting();
    tell(1, &engines().with(setting, url), &[], body);
}

/// As [`story`], with other engines than everybody's.
pub(crate) fn story_with_engines(settings: &[(&'static str, String)], body: impl AsyncFnOnce(&World) + Send) {
    tell(1, &settings.iter().fold(engines(), |engines, (name, value)| engines.with(name, value)), &[], body);
}

/// As [`story_with`], while no other story is told: for what is measured.
pub(crate) fn story_alone_with(settings: &[(&str, &str)], body: impl AsyncFnOnce(&World) + Send) {
    tell(AT_ONCE, &engines(), settings, body);
}

/// Room for a story that does all of maintenance by itself: it is not built for speed, and what it calls lies deep.
const STACK: usize = 16 * 1024 * 1024;

/// Tells a story on a thread of its own, with room enough.
fn tell(turns: u32, engines: &Env, settings: &[(&str, &str)], body: impl AsyncFnOnce(&World) + Send) {
    let name = std::thread::current().name().unwrap_or("a story").to_owned();
    let told = std::thread::scope(|scope| {
        let teller = std::thread::Builder::new().name(name).stack_size(STACK).spawn_scoped(scope, || tell_here(turns, engines, settings, body));
        teller.expect("a thread").join()
    });
    if let Err(panic) = told {
        resume_unwind(panic);
    }
}

fn tell_here(turns: u32, engines: &Env, settings: &[(&str, &str)], body: impl AsyncFnOnce(&World)) {
    leftovers::sweep_once(&self::engines());
    let name = name::Name::fresh();
    let runtime = runtime();
    let turn = runtime.block_on(WORLDS.acquire_many(turns)).expect("the semaphore is never closed");
    let told = AssertUnwindSafe(async {
        let world = World::make(engines, &name, settings).await;
        let outcome = AssertUnwindSafe(body(&world)).catch_unwind().await;
        world.end().await;
        outcome
    });
    let outcome = runtime.block_on(told.catch_unwind()).flatten();
    runtime.shutdown_timeout(LAST_WORK);
    self::runtime().block_on(leftovers::remove(engines, &name));
    drop(turn);
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
    own_log::assert_clean();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// The settings that lead to the engines, as `scripts/test` sets them.
fn engines() -> Env {
    const NEEDED: [&str; 6] =
        ["LOGGERHUB_REDIS_URL", "LOGGERHUB_CONTROL_DATABASE_URL", "LOGGERHUB_LOGS_DATABASE_URL", "LOGGERHUB_OPENSEARCH_URL", "LOGGERHUB_S3_ENDPOINT", "LOGGERHUB_S3_ACCESS_KEY_ID"];
    let env = Env::from_process();
    for name in NEEDED {
        assert!(env.optional(name).is_some(), "{name} is not set: run the system tests by scripts/test, which starts the engines and says where they are");
    }
    own_log::listen();
    env
}
