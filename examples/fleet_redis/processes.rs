//! Starts the processes of the fleet and sends them orders.

use std::{
    env,
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{Result, member::ARGUMENT};

pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(redis: &str, sipher: &str, key: &str) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg(ARGUMENT)
            .env("REDIS_URL", redis)
            .env("SIPHER_BASE_URL", sipher)
            .env("SIPHER_API_KEY", key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let (orders, answers) = orders.zip(answers).ok_or("its ends are there")?;
        Ok(Self {
            child,
            orders,
            answers: BufReader::new(answers).lines(),
        })
    }

    pub(crate) fn call(&mut self) -> Result {
        self.begin_call()?;
        self.end_call()
    }

    pub(crate) fn begin_call(&mut self) -> Result {
        Ok(writeln!(self.orders, "call")?)
    }

    pub(crate) fn end_call(&mut self) -> Result {
        let answer = self.answer()?;
        let is_well = answer.starts_with("200");
        is_well.then_some(()).ok_or_else(|| answer.into())
    }

    pub(crate) fn kill(mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Shuts the process down. Returns its report.
    pub(crate) fn shut_down(mut self) -> Result<String> {
        writeln!(self.orders, "end")?;
        let report = self.answer()?;
        self.child.wait()?;
        Ok(report)
    }

    fn answer(&mut self) -> Result<String> {
        Ok(self.answers.next().ok_or("it has ended")??)
    }
}

impl Drop for Process {
    /// Kills the process, so that none is left when the example ends or fails.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
