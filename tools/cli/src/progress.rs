//! Progress bars on standard error, only when it is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// A bar that shows how far a long run is; silent where nobody looks. Gone when dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar of `steps` steps named `what`.
    #[must_use]
    pub fn new(output: &Output, what: &str, steps: u64) -> Self {
        let target = if output.shows_progress() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        let template = "{prefix:28} {bar:30} {pos}/{len} {elapsed}, {eta} left  {msg}";
        // The template is a constant that the test below renders; a default bar is no loss.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        Self(bar)
    }

    /// Sets how many steps are done.
    pub fn set(&self, steps: u64) {
        self.0.set_position(steps);
    }

    /// Counts one more step.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// Shows `message` behind the bar, for example the current loss.
    pub fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_bar_counts() {
        let output = Output::new(false, true, None).unwrap();
        let bar = Progress::new(&output, "training", 3);
        bar.step();
        bar.set(2);
        bar.say("loss 0.1");
        assert_eq!(bar.0.position(), 2);
    }
}
