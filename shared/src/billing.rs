//! The arithmetic of bills: what was used, what a plan asks for it, and the lines and the total that come of both. Pure, but for
//! [`closing`], which joins it with the two databases.
//!
//! Invariants, held against random usage, plans and credits by the tests of [`invoice`]: the quantities of a meter's lines are all that was
//! used of it, each unit once; the amounts of the lines add up to the subtotal; and the total is that less the credit, and never negative.

pub mod closing;
pub mod forecast;
pub mod invoice;
pub mod money;
pub mod month;
pub mod terms;
pub mod usage;

#[cfg(test)]
mod worked_month;
