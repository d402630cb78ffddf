//! Attempts and the gate alone, in every order of what may happen, and in long lives.

mod books;
mod came;
mod lives;
mod search;
mod table;
mod world;

use super::*;
