//! The types that users hold, and what happens to one request.
//!
//! ```text
//!            first use                 soft                hard        end
//!   ─────────────┬──────────────────────┬────────────────────┬──────────┬──▶
//!     create     │ requests carry the   │ requests still     │ id not   │
//!     (one, all  │ id                   │ carry the id; a    │ sent any │
//!     requests   │                      │ successor is       │ more     │
//!     wait)      │                      │ created            │          │
//!                                       └─ once there is a successor, the older session is deleted
//!                                          when no request that carries it is in flight
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `manager`, `builder`, `events`, `tenants` | the handle, how it is built, and what it offers |
//! | `change` | changing key and defaults under traffic |
//! | `message` | requests and responses of any client |
//! | `admit`, `waiting`, `patience` | what one request needs before it may be sent; the wait for a session; how long it may last |
//! | `acquire`, `lease` | from a partition to a lease on its session |
//! | `remember` | decisions that are remembered for later requests of the same kind |
//! | `token`, `in_flight` | a request in flight, and what its answer says |
//! | `foreign`, `outside`, `leak` | session ids that callers put on requests; requests that only look like Sipher's; ids that a redirect sent to another origin |
//! | `proof`, `expectation` | what an answer says about its session; which chain the answer has to name |

pub(crate) mod acquire;
pub(crate) mod admit;
pub(crate) mod builder;
pub(crate) mod change;
pub(crate) mod events;
pub(crate) mod expectation;
pub(crate) mod foreign;
pub(crate) mod in_flight;
pub(crate) mod leak;
pub(crate) mod lease;
pub(crate) mod manager;
pub(crate) mod message;
pub(crate) mod outside;
pub(crate) mod patience;
pub(crate) mod proof;
pub(crate) mod remember;
pub(crate) mod tenants;
pub(crate) mod token;
pub(crate) mod waiting;
