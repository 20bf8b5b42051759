//! Properties over HTTP: many values, and the smallest one that fails.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

/// Holds `property` against so many values of a strategy.
///
/// # Panics
/// With the smallest value that was found to fail.
pub(crate) fn for_all<S: Strategy>(cases: u32, strategy: &S, property: impl AsyncFn(S::Value) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let runtime = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| runner.run(strategy, |value| runtime.block_on(property(value))));
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, value)) => panic!("{reason}: {value:?}"),
        Err(other) => panic!("{other}"),
    }
}
