//! What goes when the limit is reached.

mod candidates;
#[cfg(test)]
mod simulation;
mod stamp;
