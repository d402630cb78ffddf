//! Decisions: functions of what was seen and when. Nothing here waits, calls, locks or reads a clock.
//!
//! | file | concept |
//! | --- | --- |
//! | `attempt` | a create, a renewal or a check: what it waits for, and what follows |
//! | `flight` | the same, as others see it |
//! | `gate` | what is under way and what is held back, for every partition that has no session or needs another |
//! | `queue`, `cooldown`, `budget` | who waits for a call; for how long a failure holds back; the bound on calls |
//! | `known_keys` | API keys that the server has accepted, or the manager's owner has set |
//! | `wrong_answers` | what follows if an answer names another chain than its session |
//! | `retired` | sessions that wait for their end, in the order in which they are due |
//! | `shutdown` | which of them ends next when the manager does |
//! | `fleet` | what processes that share their sessions decide |
//! | `evidence` | whether the server is still the one that knows the sessions |

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
