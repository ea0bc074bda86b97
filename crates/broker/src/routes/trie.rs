//! Filters with wildcards, as a trie of levels in an arena.
//!
//! Levels are interned, so that a topic's level is hashed and compared once, however many branches are open. A topic
//! is matched level by level with the list of nodes that are still possible: no recursion, and no work for levels
//! after the last possible node.

use smallvec::SmallVec;

use super::numbers::Numbers;
use super::texts::{Text, Texts};
use crate::address::HashKey;
use crate::slab::Slab;

/// No node, no filter.
const NONE: u32 = u32::MAX;

/// Filters with wildcards, by number.
#[derive(Debug)]
pub(super) struct Trie {
    key: HashKey,
    levels: Levels,
    nodes: Slab<Node>,
    /// Nodes below another by a level that is not a wildcard.
    children: Numbers,
    root: u32,
    filters: usize,
}

#[derive(Debug)]
struct Node {
    parent: u32,
    /// Level between the parent and this node; [`NONE`] if it is `+`.
    level: u32,
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
        let (root, _) = nodes.insert(Node::below(NONE, NONE));
        Trie { key, levels: Levels::new(key), nodes, children: Numbers::new(), root, filters: 0 }
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
        let (path, has_rest) = match filter.strip_suffix('#') {
            Some(path) => (path.strip_suffix('/'), true),
            None => (Some(filter), false),
        };
        let levels = path.into_iter().flat_map(|path| path.split('/'));
        let Some(node) = self.walk(levels) else { return };
        let ended = self.node_mut(node);
        *(if has_rest { &mut ended.rest } else { &mut ended.end }) = NONE;
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
        let mut interned = None;
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
                let level = *interned.get_or_insert_with(|| self.levels.find(level));
                next.extend(level.and_then(|level| self.child(number, level)));
            }
        }
    }

    fn walk<'a>(&self, levels: impl Iterator<Item = &'a str>) -> Option<u32> {
        let mut node = self.root;
        for level in levels {
            node = match level {
                "+" => Some(self.node(node).plus).filter(|plus| *plus != NONE)?,
                _ => self.child(node, self.levels.find(level)?)?,
            };
        }
        Some(node)
    }

    fn child(&self, parent: u32, level: u32) -> Option<u32> {
        self.children.find(hash(&self.key, parent, level), |number| {
            let node = self.node(number);
            node.parent == parent && node.level == level
        })
    }

    fn plus_or_new(&mut self, parent: u32) -> u32 {
        if self.node(parent).plus == NONE {
            let (number, _) = self.nodes.insert(Node::below(parent, NONE));
            self.node_mut(parent).plus = number;
        }
        self.node(parent).plus
    }

    fn child_or_new(&mut self, parent: u32, level: &str) -> u32 {
        if let Some(child) = self.levels.find(level).and_then(|level| self.child(parent, level)) {
            return child;
        }
        let level = self.levels.hold(level);
        let (number, _) = self.nodes.insert(Node::below(parent, level));
        self.node_mut(parent).children += 1;
        let Trie { key, nodes, children, .. } = self;
        children.insert(hash(key, parent, level), number, |number| hash_of(key, nodes, number));
        number
    }

    /// Removes the node and those above it as far as nothing depends on them.
    fn prune(&mut self, mut number: u32) {
        while number != self.root && self.node(number).is_unused() {
            let Trie { key, nodes, children, .. } = self;
            let hash_of = |number| hash_of(key, nodes, number);
            let Node { parent, level, .. } = *node(nodes, number);
            if level == NONE {
                self.node_mut(parent).plus = NONE;
            } else {
                children.remove(hash_of(number), number, hash_of);
                self.levels.release(level);
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

fn hash(key: &HashKey, parent: u32, level: u32) -> u64 {
    key.hash(&(u64::from(parent) << 32 | u64::from(level)).to_le_bytes())
}

fn hash_of(key: &HashKey, nodes: &Slab<Node>, number: u32) -> u64 {
    let node = node(nodes, number);
    hash(key, node.parent, node.level)
}

impl Node {
    fn below(parent: u32, level: u32) -> Self {
        Node { parent, level, plus: NONE, end: NONE, rest: NONE, children: 0 }
    }

    fn is_unused(&self) -> bool {
        self.plus == NONE && self.end == NONE && self.rest == NONE && self.children == 0
    }
}

/// Texts between the slashes, each with a number of its own.
#[derive(Debug)]
struct Levels {
    key: HashKey,
    texts: Texts,
    entries: Slab<Level>,
    names: Numbers,
}

#[derive(Debug)]
struct Level {
    text: Text,
    /// Nodes reached by this level.
    holders: u32,
}

impl Levels {
    fn new(key: HashKey) -> Self {
        Levels { key, texts: Texts::new(), entries: Slab::new(), names: Numbers::new() }
    }

    fn find(&self, text: &str) -> Option<u32> {
        let bytes = text.as_bytes();
        let is_it = |number| self.bytes(number) == bytes;
        self.names.find(self.key.hash(bytes), is_it)
    }

    /// The number of the level, held once more.
    fn hold(&mut self, text: &str) -> u32 {
        if let Some(number) = self.find(text) {
            if let Some(level) = self.entries.by_slot_mut(number) {
                level.holders += 1;
            }
            return number;
        }
        let (number, _) = self.entries.insert(Level { text: self.texts.insert(text), holders: 1 });
        let Levels { key, texts, entries, names } = self;
        names.insert(key.hash(text.as_bytes()), number, |number| {
            key.hash(level_bytes(entries, texts, number))
        });
        number
    }

    /// Undoes one [`Levels::hold`].
    fn release(&mut self, number: u32) {
        let Some(level) = self.entries.by_slot_mut(number) else { return };
        level.holders -= 1;
        if level.holders > 0 {
            return;
        }
        let text = level.text;
        let Levels { key, texts, entries, names } = self;
        let hash_of = |number| key.hash(level_bytes(entries, texts, number));
        names.remove(hash_of(number), number, hash_of);
        entries.remove_by_slot(number);
        texts.remove(text);
    }

    fn bytes(&self, number: u32) -> &[u8] {
        level_bytes(&self.entries, &self.texts, number)
    }
}

fn level_bytes<'a>(entries: &Slab<Level>, texts: &'a Texts, number: u32) -> &'a [u8] {
    texts.bytes(entries.by_slot(number).expect("nodes and names hold living levels").text)
}
