//! What users hold, and the way of one request through the crate.
//!
//! ```text
//!            first use                 soft                hard        end
//!   ─────────────┬──────────────────────┬────────────────────┬──────────┬──▶
//!     create     │ every request bears  │ … while a successor│ sent no  │
//!     (one, for  │ the id               │ is being made      │ more     │
//!     all who    │                      │                    │          │
//!     wait)      │                      └─ successor in place: deleted when nothing is in flight
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `manager`, `builder`, `events`, `tenants` | the handle, how it is made, and what it offers |
//! | `change` | changing key and defaults under traffic |
//! | `message` | requests and responses of any client's |
//! | `admit`, `waiting`, `patience` | what one request needs before it may be sent; while it waits for that; for how long |
//! | `acquire`, `lease` | from a partition to a lease on its session |
//! | `remember` | decisions that are repeated for requests like one before |
//! | `token`, `in_flight` | what stands for requests on their way; one of them, and what comes of it |
//! | `foreign`, `outside`, `leak` | ids that requests bring along; requests that only look like Sipher's; what a redirect took elsewhere |
//! | `proof`, `expectation` | what an answer says about its session; which chain it has to name |

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
