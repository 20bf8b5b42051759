//! Clients that are made when they are first used.

use std::sync::LazyLock;

/// A client of HTTP, made when it is first used: reading whom the system trusts takes some 10 ms, for which no start should wait.
pub type OpenedLate<T, E> = LazyLock<Result<T, E>, Box<dyn FnOnce() -> Result<T, E> + Send>>;

/// A client that `make` makes.
pub fn opened_late<T, E>(make: impl FnOnce() -> Result<T, E> + Send + 'static) -> OpenedLate<T, E> {
    LazyLock::new(Box::new(make))
}
