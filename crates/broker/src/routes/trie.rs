//! Filters with wildcards, as a trie of levels in an arena.
//!
//! A level is known by its fingerprint, 128 bits of a keyed hash, so that a topic's level is hashed once, however many
//! branches are open, and its text is never stored or compared. That two levels share a fingerprint is as unlikely as
//! guessing the key. A topic is matched level by level with the list of nodes that are still possible: no recursion,
//! and no work for levels after the last possible node.

use smallvec::SmallVec;

use super::numbers::Numbers;
use crate::address::HashKey;
use crate::slab::Slab;

/// No node, no filter.
const NONE: u32 = u32::MAX;

/// Stands for the fingerprint of `+`; such nodes are not found by it.
const PLUS: Fingerprint = 0;

/// What a level is known by.
type Fingerprint = u128;

/// Filters with wildcards, by number.
#[derive(Debug)]
pub(super) struct Trie {
    key: HashKey,
    nodes: Slab<Node>,
    /// Nodes below another by a level that is not a wildcard.
    children: Numbers,
    root: u32,
    filters: usize,
}

#[derive(Debug)]
struct Node {
    parent: u32,
    /// Level between the parent and this node, [`PLUS`] if it is a wildcard. As bytes it needs no alignment.
    level: [u8; 16],
    /// Node below this one by `+`.
    plus: u32,
    /// Filter that ends here.
    end: u32,
    /// Filter that ends here with `#`.
    rest: u32,
    /// Nodes below this one, without the one by `+`.
    children: u32,
}

/// Nodes that are still possible.
type Front = SmallVec<[u32; 32]>;

impl Trie {
    pub(super) fn new(key: HashKey) -> Self {
        let mut nodes = Slab::new();
        let (root, _) = nodes.insert(Node::below(NONE, PLUS));
        Trie { key, nodes, children: Numbers::new(), root, filters: 0 }
    }

    /// Nodes, the root apart.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Adds a filter that is not there yet.
    pub(super) fn insert(&mut self, filter: &str, number: u32) {
        self.filters += 1;
        let mut node = self.root;
        for level in filter.split('/') {
            if level == "#" {
                self.node_mut(node).rest = number;
                return;
            }
            node = if level == "+" { self.plus_or_new(node) } else { self.child_or_new(node, level) };
        }
        self.node_mut(node).end = number;
    }

    /// Removes a filter that is there.
    pub(super) fn remove(&mut self, filter: &str) {
        let mut node = self.root;
        let mut has_rest = false;
        for level in filter.split('/') {
            let next = match level {
                "#" => {
                    has_rest = true;
                    break;
                }
                "+" => Some(self.node(node).plus).filter(|plus| *plus != NONE),
                _ => self.child(node, self.key.fingerprint(level.as_bytes())),
            };
            let Some(next) = next else { return };
            node = next;
        }
        let last = self.node_mut(node);
        *(if has_rest { &mut last.rest } else { &mut last.end }) = NONE;
        self.filters -= 1;
        self.prune(node);
    }

    /// Calls `found` with every filter that matches the topic `[MQTT-4.7.1-2]`, except that a topic beginning with
    /// `$` does not match a filter beginning with a wildcard `[MQTT-4.7.2-1]`.
    pub(super) fn matching(&self, topic: &str, mut found: impl FnMut(u32)) {
        if self.filters == 0 {
            return;
        }
        let mut front: Front = SmallVec::from_slice(&[self.root]);
        let mut next = Front::new();
        let mut wildcards_allowed = !topic.starts_with('$');
        for level in topic.split('/') {
            self.step(&front, level, wildcards_allowed, &mut next, &mut found);
            if next.is_empty() {
                return;
            }
            std::mem::swap(&mut front, &mut next);
            next.clear();
            wildcards_allowed = true;
        }
        for node in front.iter().map(|number| self.node(*number)) {
            [node.end, node.rest].into_iter().filter(|number| *number != NONE).for_each(&mut found);
        }
    }

    /// Goes one level down from every node of `front`.
    fn step(
        &self,
        front: &[u32],
        level: &str,
        wildcards_allowed: bool,
        next: &mut Front,
        found: &mut impl FnMut(u32),
    ) {
        let mut fingerprint = None;
        for &number in front {
            let node = self.node(number);
            if wildcards_allowed {
                if node.rest != NONE {
                    found(node.rest);
                }
                if node.plus != NONE {
                    next.push(node.plus);
                }
            }
            if node.children > 0 {
                let level = *fingerprint.get_or_insert_with(|| self.key.fingerprint(level.as_bytes()));
                next.extend(self.child(number, level));
            }
        }
    }

    fn child(&self, parent: u32, level: Fingerprint) -> Option<u32> {
        let bytes = level.to_le_bytes();
        self.children.find(hash(parent, level), |number| {
            let node = self.node(number);
            node.parent == parent && node.level == bytes
        })
    }

    fn plus_or_new(&mut self, parent: u32) -> u32 {
        if self.node(parent).plus == NONE {
            let (number, _) = self.nodes.insert(Node::below(parent, PLUS));
            self.node_mut(parent).plus = number;
        }
        self.node(parent).plus
    }

    fn child_or_new(&mut self, parent: u32, level: &str) -> u32 {
        let level = self.key.fingerprint(level.as_bytes());
        if let Some(child) = self.child(parent, level) {
            return child;
        }
        let (number, _) = self.nodes.insert(Node::below(parent, level));
        self.node_mut(parent).children += 1;
        let Trie { nodes, children, .. } = self;
        children.insert(hash(parent, level), number, |number| hash_of(nodes, number));
        number
    }

    /// Removes the node and those above it as far as nothing depends on them.
    fn prune(&mut self, mut number: u32) {
        while number != self.root && self.node(number).is_unused() {
            let Trie { nodes, children, .. } = self;
            let parent = node(nodes, number).parent;
            if node(nodes, parent).plus == number {
                self.node_mut(parent).plus = NONE;
            } else {
                children.remove(hash_of(nodes, number), number, |number| hash_of(nodes, number));
                self.node_mut(parent).children -= 1;
            }
            self.nodes.remove_by_slot(number);
            number = parent;
        }
    }

    fn node(&self, number: u32) -> &Node {
        node(&self.nodes, number)
    }

    fn node_mut(&mut self, number: u32) -> &mut Node {
        self.nodes.by_slot_mut(number).expect("links of the trie name living nodes")
    }
}

fn node(nodes: &Slab<Node>, number: u32) -> &Node {
    nodes.by_slot(number).expect("links of the trie name living nodes")
}

/// Spreads the children of one parent, and the places of one level, by bits that nobody outside knows.
fn hash(parent: u32, level: Fingerprint) -> u64 {
    let (low, high) = (level as u64, (level >> 64) as u64);
    let product = u128::from(low ^ u64::from(parent)) * u128::from(high | 1);
    product as u64 ^ (product >> 64) as u64
}

fn hash_of(nodes: &Slab<Node>, number: u32) -> u64 {
    let node = node(nodes, number);
    hash(node.parent, Fingerprint::from_le_bytes(node.level))
}

impl Node {
    fn below(parent: u32, level: Fingerprint) -> Self {
        Node { parent, level: level.to_le_bytes(), plus: NONE, end: NONE, rest: NONE, children: 0 }
    }

    fn is_unused(&self) -> bool {
        self.plus == NONE && self.end == NONE && self.rest == NONE && self.children == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn matching(trie: &Trie, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        trie.matching(topic, |number| found.push(number));
        found
    }

    #[test]
    fn one_level_under_many_parents_is_told_apart() {
        let mut trie = Trie::new(HashKey(1, 2));
        for number in 0..20_000 {
            trie.insert(&format!("+/{number}/state"), number);
        }
        for number in 0..20_000 {
            assert_eq!(matching(&trie, &format!("site/{number}/state")), [number]);
        }
    }

    proptest! {
        #[test]
        fn a_removed_filter_takes_along_the_nodes_that_only_it_needed(
            filters in vec(vec(select(vec!["a", "b", "+", "", "#"]), 1..6), 1..20),
        ) {
            let mut trie = Trie::new(HashKey(1, 2));
            let mut nodes_before = Vec::new();
            let mut inserted: Vec<String> = Vec::new();
            for levels in filters {
                let end = levels.iter().position(|level| *level == "#").map_or(levels.len(), |rest| rest + 1);
                let filter = levels[..end].join("/");
                if !inserted.contains(&filter) {
                    nodes_before.push(trie.nodes.len());
                    trie.insert(&filter, inserted.len() as u32);
                    inserted.push(filter);
                }
            }
            while let Some(filter) = inserted.pop() {
                trie.remove(&filter);
                prop_assert_eq!(Some(trie.nodes.len()), nodes_before.pop());
            }
            prop_assert_eq!(trie.filters, 0);
            prop_assert_eq!(trie.nodes.len(), 1);
        }
    }
}
