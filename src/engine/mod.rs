//! Decisions: plain functions of what was seen and when. Nothing here waits, makes a call, takes a lock or reads a
//! clock.
//!
//! | file | concept |
//! | --- | --- |
//! | `attempt` | a create, a renewal or a check: what it waits for, and what follows |
//! | `flight` | the same attempt, as the requests that wait for it see it |
//! | `gate` | for every partition that needs a session: what is under way, and what is held back |
//! | `queue`, `cooldown`, `budget` | who waits for a call; how long a failure holds calls back; the bound on calls |
//! | `known_keys` | API keys that the server has accepted, or that the manager's owner has set |
//! | `wrong_answers` | what follows when an answer names another chain than its session |
//! | `retired` | sessions that wait to be deleted, in the order in which they are due |
//! | `shutdown` | which session is deleted next when the manager shuts down |
//! | `fleet` | decisions of processes that share their sessions |
//! | `evidence` | whether the server's process is still the one that knows the sessions |

pub(crate) mod attempt;
pub(crate) mod budget;
pub(crate) mod cooldown;
pub(crate) mod evidence;
pub(crate) mod fleet;
pub(crate) mod flight;
pub(crate) mod gate;
pub(crate) mod known_keys;
pub(crate) mod queue;
pub(crate) mod retired;
pub(crate) mod shutdown;
pub(crate) mod wrong_answers;
