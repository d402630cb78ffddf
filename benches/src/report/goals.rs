//! The goals, and whether they are reached.

use std::fmt;

/// The median of several runs, with the lowest and the highest value.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples: Vec<_> = samples.into_iter().collect();
        let median = crate::time::median(&mut samples);
        let (least, most) = (samples[0], samples[samples.len() - 1]);
        Self {
            median,
            least,
            most,
        }
    }
}

impl From<f64> for Spread {
    fn from(value: f64) -> Self {
        Self::of([value])
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median,
            least,
            most,
        } = *self;
        let digits = if median >= 20.0 { 0 } else { 2 };
        write!(f, "{median:.digits$}")?;
        if least < most {
            write!(f, " ({least:.digits$}–{most:.digits$})")?;
        }
        Ok(())
    }
}

pub struct Goal {
    pub what: String,
    pub value: Spread,
    /// The required value, and a better one.
    pub must: f64,
    pub better: f64,
    /// Higher values are better.
    pub at_least: bool,
}

impl Goal {
    pub fn at_most(
        what: impl Into<String>,
        value: impl Into<Spread>,
        (must, better): (f64, f64),
    ) -> Self {
        Self {
            what: what.into(),
            value: value.into(),
            must,
            better,
            at_least: false,
        }
    }

    pub fn at_least(
        what: impl Into<String>,
        value: impl Into<Spread>,
        (must, better): (f64, f64),
    ) -> Self {
        Self {
            at_least: true,
            ..Self::at_most(what, value, (must, better))
        }
    }

    fn reached(&self) -> &'static str {
        // The value as it is shown, with two decimal places.
        let value = (self.value.median * 100.0).round() / 100.0;
        let within = |bound| {
            if self.at_least {
                value >= bound
            } else {
                value <= bound
            }
        };
        match (within(self.must), within(self.better)) {
            (true, true) => "better",
            (true, false) => "yes",
            _ => "**no**",
        }
    }
}

pub fn table(goals: &[Goal]) -> String {
    let mut table = String::from(
        "| what | measured | must | better still | reached |\n| --- | --- | --- | --- | --- |\n",
    );
    for goal in goals {
        let sign = if goal.at_least { "≥" } else { "≤" };
        table += &format!(
            "| {} | {} | {sign} {} | {sign} {} | {} |\n",
            goal.what,
            goal.value,
            goal.must,
            goal.better,
            goal.reached()
        );
    }
    table
}
