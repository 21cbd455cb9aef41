//! What any origin over an `ObjectStore` needs, whoever made the store: a runtime for its futures, one request with its
//! time limits, and what the store's errors mean.
//!
//! Nothing in here knows of HTTP: a store may as well be a directory. Nothing in here tries a request again.

mod attempt;
mod failure;
mod request;
mod store_origin;
mod version;

pub use self::attempt::Timeouts;
pub(crate) use self::attempt::{Answer, Attempt, Begun};
pub(crate) use self::failure::Failure;
#[cfg(feature = "_client")]
pub(super) use self::failure::{Rejected, innermost, is_network_failure, presentable};
#[cfg(feature = "_client")]
pub(super) use self::request::Request;
pub use self::store_origin::ObjectStoreOrigin;
pub(crate) use self::version::{UNVERSIONED, looked_at};
#[cfg(feature = "_client")]
pub(super) use self::version::{compare, conditional};
