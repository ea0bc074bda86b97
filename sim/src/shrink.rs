//! A history that fails, made short: what can be left out while it still fails, is.

use std::time::{Duration, Instant};

use crate::plan::{Decision, Plan};
use crate::trial;

/// Bounds of the search.
const RUNS_MAX: usize = 500;
const TIME_MAX: Duration = Duration::from_secs(10);

/// The shortest plan found that fails as well as this one, which fails.
pub fn shrink(plan: &Plan) -> Plan {
    let steps = trial::run(plan, false).err().map_or(plan.len(), |failure| failure.steps);
    shortest(plan, steps, |plan| trial::run(plan, false).is_err())
}

/// The shortest plan found that `fails` as this one does within its first `steps` decisions.
fn shortest(plan: &Plan, steps: usize, fails: impl Fn(&Plan) -> bool) -> Plan {
    let mut search = Search { fails, shortest: plan.clone(), runs: 0, begun: Instant::now() };
    search.try_with(&plan.decisions[..steps]);
    search.without_clients();
    search.without_chunks();
    search.shortest
}

struct Search<F> {
    fails: F,
    shortest: Plan,
    runs: usize,
    begun: Instant,
}

impl<F: Fn(&Plan) -> bool> Search<F> {
    /// Leaves out everything that one client does, client by client.
    fn without_clients(&mut self) {
        for client in 0..self.shortest.setup.clients.len() {
            let is_other = |decision: &Decision| decision.client() != Some(client as u8);
            let left: Vec<_> = self.shortest.decisions.iter().copied().filter(is_other).collect();
            self.try_with(&left);
        }
    }

    /// Leaves out chunk by chunk, from halves down to single decisions, until none can be spared.
    fn without_chunks(&mut self) {
        let mut size = self.shortest.len() / 2;
        while size > 0 && !self.is_spent() {
            let mut start = 0;
            let mut was_spared = false;
            while start < self.shortest.len() && !self.is_spent() {
                let decisions = &self.shortest.decisions;
                let end = decisions.len().min(start + size);
                let left = [&decisions[..start], &decisions[end..]].concat();
                if self.try_with(&left) {
                    was_spared = true;
                } else {
                    start = end;
                }
            }
            if size > 1 || !was_spared {
                size /= 2;
            }
        }
    }

    /// Takes these decisions if they are fewer and the history still fails.
    fn try_with(&mut self, decisions: &[Decision]) -> bool {
        if decisions.len() >= self.shortest.len() || self.is_spent() {
            return false;
        }
        self.runs += 1;
        let candidate = self.shortest.with(decisions.to_vec());
        let fails = (self.fails)(&candidate);
        if fails {
            self.shortest = candidate;
        }
        fails
    }

    fn is_spent(&self) -> bool {
        self.runs >= RUNS_MAX || self.begun.elapsed() >= TIME_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Deed;

    /// A plan with 1,000 decisions at least.
    fn long_plan() -> Plan {
        (0..100).map(Plan::from_seed).find(|plan| plan.len() > 1_000).expect("one of four is long")
    }

    #[test]
    fn what_a_failure_does_not_need_is_left_out() {
        let crashes = |plan: &Plan| {
            let is_crash =
                |decision: &&Decision| matches!(decision, Decision::Act { deed: Deed::Crash { .. }, .. });
            plan.decisions.iter().filter(is_crash).count()
        };
        let plan = long_plan();
        assert!(crashes(&plan) > 3);
        let shortest = shortest(&plan, plan.len(), |plan| crashes(plan) >= 3);
        assert_eq!((shortest.len(), crashes(&shortest)), (3, 3));
    }

    #[test]
    fn what_comes_after_a_failure_is_never_needed() {
        let plan = long_plan();
        let shortest = shortest(&plan, 10, |plan| plan.len() >= 10);
        assert_eq!(shortest.decisions, plan.decisions[..10]);
    }
}
