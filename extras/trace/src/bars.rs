//! The bars of a lane of a picture.

/// A bar of a lane.
pub(crate) struct Bar {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Kind of the cause of the longest entry.
    pub(crate) cause: u8,
    /// Number of the longest entry in the bar.
    pub(crate) entry: usize,
    longest: f64,
}

impl Bar {
    pub(crate) fn width(&self) -> f64 {
        (self.to - self.from).max(0.4)
    }
}

/// Bars of one lane, joined where they nearly touch: a picture of a million polls has a thousand bars.
#[derive(Default)]
pub(crate) struct Bars(Vec<Bar>);

impl Bars {
    pub(crate) fn add(&mut self, from: f64, to: f64, cause: u8, entry: usize) {
        let longest = to - from;
        if let Some(last) = self.0.last_mut()
            && from - last.to < 0.3
            && (last.cause == cause || longest < 0.8)
        {
            last.to = last.to.max(to);
            if longest > last.longest {
                (last.longest, last.entry, last.cause) = (longest, entry, cause);
            }
            return;
        }
        self.0.push(Bar {
            from,
            to,
            cause,
            entry,
            longest,
        });
    }

    pub(crate) fn finish(self) -> Vec<Bar> {
        self.0
    }
}
