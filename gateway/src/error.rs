//! The error of a gateway that cannot start.

use std::{error::Error, fmt};

/// A wrong setting, or a port that cannot be opened. The message names the setting, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayError {
    setting: &'static str,
    problem: String,
}

impl GatewayError {
    pub(crate) fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { setting, problem }
    }

    /// Returns the name of the setting, such as `gateway.listen`.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl Error for GatewayError {}
