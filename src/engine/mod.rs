//! Decisions: plain functions of observations and their times. Nothing here waits, makes a call, takes a lock or reads
//! a clock.
//!
//! | file | concept |
//! | --- | --- |
//! | `attempt` | a create, a renewal or a check: what it waits for, and what it does next |
//! | `flight` | the same attempt, as the requests that wait for it see it |
//! | `gate` | whether a session call may be made now: what is under way and what is held back, by partition |
//! | `queue`, `cooldown`, `budget` | which attempts wait for a call; how long a failure holds back; the call budget |
//! | `known_keys` | API keys that the server has accepted, or that the manager's owner has set |
//! | `wrong_answers` | how soon a session is replaced after an answer that names another chain |
//! | `retired` | sessions that wait to be deleted, in the order in which they are due |
//! | `shutdown` | which session is deleted next when the manager shuts down |
//! | `fleet` | decisions of processes that share their sessions |
//! | `evidence` | whether the server's process is still the one that knows the sessions |
//!
//! Names in this room use these words in a special sense:
//!
//! | word | meaning |
//! | --- | --- |
//! | partition | an API key with one set of defaults; it has one current session |
//! | attempt, flight | a create, a renewal or a check that is under way |
//! | hold | a cooldown; calls that it concerns wait, or fail at once |
//! | place | which of the gate's queues an attempt waits in |
//! | ahead, behind | ranks at the call budget: keys that the server has accepted, and new keys |
//! | reach, probe | whether anybody can connect to the server; the one call that finds out for all |
//! | fence | takes a partition from its attempt; a session that the attempt still creates is not used |
//! | suspect | a session about which the server has to be asked before its next use |
//! | sign, hint | a reason to ask the server: requests wait for the answer, or go on meanwhile |
//! | question | a call of the free `GET /v1/health` |
//! | says, told | the answer to a question was useful |
//! | silent, away | the answer to a question was of no use; the question did not reach the server |
//! | owed, damped | a sign or hint that no question examined yet; a sign after a false alarm, which holds no request |
//! | window | the rate-limit window in an answer; a new one may mean a new process |
//! | strange, beside | a new window that began before a known one had ended |
//! | metered, in vain | a call of `GET /v1/sessions/{id}`, which costs quota; such a call that decided nothing |
//! | stands in | this attempt makes a metered call because nothing useful comes from questions |
//! | open, unclear | no answer says whether the session is alive, so it has to be checked itself |
//! | missed | a session that was asked for, and that the server does not have |
//! | foregone | what the next question will bring, if that is certain without asking |
//! | well since, there | the time since which calls are answered again; they are answered although health is away |

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
